"""The words of the protocol that all of its parts share: requests, responses and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

Environ = dict[str, Any]
"""A request as WSGI hands it on (PEP 3333); an application may keep something there."""
Response = tuple[int, Sequence[tuple[str, str]], bytes, str]
"""Status, headers, body, and the route under which the response is counted."""
ALLOW = ("Allow", "POST, OPTIONS")
JSON = ("Content-Type", "application/json")
NO_CACHE = ("Cache-Control", "no-cache")


class EvaluationRefused(Exception):
    """The request gets this status, error code and explanation instead of an evaluation."""

    def __init__(self, status: int, error_code: str | None, details: str, *headers: tuple[str, str]) -> None:
        super().__init__(details)
        self.status = status
        self.error_code = error_code
        self.headers = [JSON, *headers]

    def response(self, flag_key: str | None, route: str) -> Response:
        """The response to a request for one flag, or for all flags where `flag_key` is None."""
        content: dict[str, str] = {} if flag_key is None else {"key": flag_key}
        if self.error_code:
            content["errorCode"] = self.error_code
        content["errorDetails"] = str(self)
        return self.status, self.headers, orjson.dumps(content), route
