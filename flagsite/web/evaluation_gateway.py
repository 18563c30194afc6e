"""The WSGI application before Django in each web process: it evaluates flags, which most requests ask for.

Django's request, middleware and views would cost ten times what an evaluation from the cache costs
(docs/decisions/0005). Every other request goes on to Django.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Any
from uuid import uuid4

import orjson
import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from flags.serving.ofrep.protocol import JSON, Environ, Response
from flags.serving.ofrep.remote_evaluation import RemoteEvaluation
from flags.serving.process_cache import is_up_to_date, process_access_key_cache, process_evaluation_cache
from flagsite.metrics import requests
from flagsite.web.request_context import VALID_REQUEST_ID
from flagsite.web.thread_policy import run_as_answering_thread

log = structlog.get_logger(__name__)
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
MARK = "/ofrep/"
"""Every path of the protocol contains it, and hardly any other path."""
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
CORS_ALLOWED = "Authorization, X-API-Key, If-None-Match, Content-Type, X-Request-ID"


class EvaluationGateway:
    """Answers OFREP's paths and hands all others on to the application behind."""

    def __init__(self, behind: Application) -> None:
        self._behind = behind
        self._evaluation: RemoteEvaluation | None = None
        self._process = uuid4().hex[:20]
        self._numbers = itertools.count(1)
        self._origins = frozenset(settings.CORS_ORIGINS)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI (PEP 3333) has it."""
        run_as_answering_thread()
        if MARK not in environ["PATH_INFO"]:
            if self._evaluation is None:
                self._ready()  # so that /readyz can tell whether this process hears of changes
            return self._behind(environ, start_response)
        began = perf_counter()
        response = self._answer(environ)
        if response is None:
            return self._behind(environ, start_response)
        status, headers, body, route = response
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and VALID_REQUEST_ID.fullmatch(given) else f"{self._process}-{next(self._numbers)}"
        headers = [*headers, ("X-Request-ID", request_id)]
        if self._origins:
            headers += self._cors(environ)
        if body:  # the length of none (204, 304) must not be told: RFC 9110, section 8.6
            headers.append(("Content-Length", str(len(body))))
        start_response(STATUS_LINES[status], headers)
        seconds = perf_counter() - began
        requests.count(method=environ["REQUEST_METHOD"], route=route, status=status, seconds=seconds)
        return [body]  # the web server streams whatever is no list

    def _answer(self, environ: Environ) -> Response | None:
        path: str = environ["PATH_INFO"]
        if not path.isascii():
            path = _in_utf_8(path)
        try:
            try:
                return (self._evaluation or self._ready()).answer(environ, path)
            except Error:  # a connection that was lost since it was used last; on a new one the database may answer
                close_old_connections()
                return (self._evaluation or self._ready()).answer(environ, path)
        except Error as error:
            close_old_connections()
            log.warning("evaluation_without_database", path=path[:200], error=str(error))
            return _failed(503, "The database is away. Try again in a second.", ("Retry-After", "1"))
        except Exception:
            log.exception("evaluation_failed", path=path[:200])
            return _failed(500, "Something went wrong on our side.")

    def _ready(self) -> RemoteEvaluation:
        """Made at the first request, in the process that answers it: a forked one has no thread of its parent."""
        self._evaluation = RemoteEvaluation(process_evaluation_cache(), process_access_key_cache(), is_up_to_date)
        return self._evaluation

    def _cors(self, environ: Environ) -> list[tuple[str, str]]:
        """For browsers of other origins, as the Fetch standard has it (https://fetch.spec.whatwg.org)."""
        origin = environ.get("HTTP_ORIGIN", "")
        headers = [("Vary", "Origin")]
        if origin not in self._origins and "*" not in self._origins:
            return headers
        headers += [
            ("Access-Control-Allow-Origin", origin or "*"),
            ("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-ID"),
        ]
        if environ["REQUEST_METHOD"] == "OPTIONS":
            headers += [
                ("Access-Control-Allow-Methods", "POST"),
                ("Access-Control-Allow-Headers", CORS_ALLOWED),
                ("Access-Control-Max-Age", "7200"),
            ]
        return headers


def _failed(status: int, details: str, *headers: tuple[str, str]) -> Response:
    content = orjson.dumps({"errorDetails": details})
    return status, (JSON, *headers), content, "ofrep"


def _in_utf_8(path: str) -> str:
    """WSGI hands a path's bytes on as Latin-1."""
    return path.encode("latin-1").decode("utf-8", "replace")
