"""The WSGI application before Django in each web process: it evaluates flags, which most requests ask for.

Django's request, middleware and views would cost ten times what an evaluation from the cache costs
(docs/decisions/0005). Every other request goes on to Django.

The event loop of the process answers probes, and evaluations that need nothing but its memory. Whatever has to wait,
for the database or for another thread, goes to a thread of its lane (`flagsite/web/lanes.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Any
from uuid import uuid4

import orjson
import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from flags.serving.ofrep.protocol import JSON, Environ, Response
from flags.serving.ofrep.remote_evaluation import AFTER_EVENT, RemoteEvaluation
from flags.serving.process_cache import is_up_to_date, listener, process_access_key_cache, process_evaluation_cache
from flagsite.core.db import never_waits
from flagsite.metrics import requests
from flagsite.web import lanes
from flagsite.web.event_loop_probes import EventLoopProbes
from flagsite.web.request_context import VALID_REQUEST_ID
from flagsite.web.waiting_for_database import watch_database
from flagsite.web_server.limits import Limits
from flagsite.web_server.refusals import Answer

log = structlog.get_logger(__name__)
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
MARK = "/ofrep/"
"""Every path of the protocol contains it, and hardly any other path."""
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
CORS_ALLOWED = "Authorization, X-API-Key, If-None-Match, Content-Type, X-Request-ID"


class EvaluationGateway:
    """Answers OFREP's paths and hands all others on to the application behind."""

    def __init__(self, behind: Application, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.lanes = lanes.LANES
        self.lane_of = lanes.lane_of
        lanes.prepare()
        self._behind = behind
        self._probes = EventLoopProbes()
        self._evaluation: RemoteEvaluation | None = None
        self._process = uuid4().hex[:20]
        self._numbers = itertools.count(1)
        self._origins = frozenset(settings.CORS_ORIGINS)

    def run_in_event_loop(self) -> None:
        """The web server calls this in the thread of the event loop, before the first `answer_now`."""
        self._ready()  # so that /readyz can tell from the start whether this process hears of changes
        hearing = listener()
        if hearing is not None:
            watch_database(hearing, process_evaluation_cache().ask_database_again)
        never_waits.promise()

    def answer_now(self, environ: Environ) -> Answer | Coroutine[Any, Any, Answer] | None:
        """In the event loop: the answer, where it needs no waiting; None for a request that a thread has to answer."""
        path = environ["PATH_INFO"]
        if MARK not in path:
            return self._probes.answer_now(environ)
        if self._evaluation is None or AFTER_EVENT in environ["QUERY_STRING"]:
            return None
        began = perf_counter()
        try:
            response = self._evaluation.answer(environ, path if path.isascii() else _in_utf_8(path))
        except never_waits.MustWait:
            return None
        except Exception:
            log.exception("evaluation_failed", path=path[:200])
            response = _failed(500, "Something went wrong on our side.")
        return None if response is None else self._complete(environ, response, began)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """In a thread: as WSGI (PEP 3333) has it."""
        if MARK not in environ["PATH_INFO"]:
            return self._behind(environ, start_response)
        began = perf_counter()
        response = self._answer(environ)
        if response is None:
            return self._behind(environ, start_response)
        status_line, headers, body = self._complete(environ, response, began)
        start_response(status_line, headers)
        return [body]

    def _complete(self, environ: Environ, response: Response, began: float) -> Answer:
        """Add what every answer has, and count it."""
        status, headers, body, route = response
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and VALID_REQUEST_ID.fullmatch(given) else f"{self._process}-{next(self._numbers)}"
        headers = [*headers, ("X-Request-ID", request_id)]
        if self._origins:
            headers += self._cors(environ)
        if body:  # the length of none (204, 304) must not be told: RFC 9110, section 8.6
            headers.append(("Content-Length", str(len(body))))
        seconds = perf_counter() - began
        requests.count(method=environ["REQUEST_METHOD"], route=route, status=status, seconds=seconds)
        return STATUS_LINES[status], headers, body

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
