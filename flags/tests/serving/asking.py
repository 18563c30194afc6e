"""Asks for evaluations as a client does, and shows what came back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep.remote_evaluation import RemoteEvaluation

FLAGS = "/ofrep/v1/evaluate/flags"


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: Any


class Asking:
    """A client with a key; a test may notify `cache` of changes."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.cache = EvaluationCache()
        self.access_keys = AccessKeyCache()
        self.evaluation = RemoteEvaluation(self.cache, self.access_keys)

    def one(self, flag: str, **context: Any) -> Answer:
        """Evaluate one flag."""
        return self.post(f"{FLAGS}/{flag}", {"context": _without_none(context)})

    def all(self, *, headers: dict[str, str] | None = None, query: str = "", **context: Any) -> Answer:
        """Evaluate all flags."""
        return self.post(FLAGS, {"context": _without_none(context)}, headers=headers, query=query)

    def post(
        self, path: str, content: Any, *, method: str = "POST", headers: dict[str, str] | None = None, query: str = ""
    ) -> Answer:
        """Send anything; `content` is bytes as they are, or what becomes JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        environ: dict[str, Any] = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.items()}
        environ |= {"REQUEST_METHOD": method, "QUERY_STRING": query, "wsgi.input": io.BytesIO(body)}
        answered = self.evaluation.answer(environ, path)
        assert answered is not None
        status, answer_headers, answer, _ = answered
        return Answer(status, dict(answer_headers), json.loads(answer) if answer else None)


def _without_none(context: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in context.items() if value is not None}
