"""Probes that a web process answers in its event loop: while every thread waits for a database that does not answer.

A thread of their own checks the readiness. Who asks waits for it for CHECK_TIMEOUT_SECONDS at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any
from uuid import uuid4

import orjson
import structlog
from django.core.handlers.wsgi import WSGIRequest
from django.db import close_old_connections

from flagsite.core.background import BackgroundService
from flagsite.health.probes import PROBES
from flagsite.health.readiness import CHECK_TIMEOUT_SECONDS, PARTS
from flagsite.metrics import requests
from flagsite.web.request_context import VALID_REQUEST_ID
from flagsite.web_server.refusals import Answer

log = structlog.get_logger(__name__)
Environ = dict[str, Any]
LIVE = orjson.dumps({"status": "ok"})
NO_ANSWER = orjson.dumps({"status": "not ready", "checks": dict.fromkeys(PARTS, "not ok")})
MOST_WAITING = 100
"""Probes that may wait for the thread; more are told at once that nobody knows."""
Result = tuple[int, bytes]


class EventLoopProbes:
    """Answers /livez and /readyz."""

    def __init__(self) -> None:
        self._checks = ReadinessChecks()

    def answer_now(self, environ: Environ) -> Answer | Coroutine[Any, Any, Answer] | None:
        """The answer, or None for a request that is no such probe."""
        path = environ["PATH_INFO"]
        if path not in {"/livez", "/readyz"} or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return None
        if path == "/livez":
            return _answer(environ, "livez", (200, LIVE), perf_counter())
        return self._readiness(environ)

    async def _readiness(self, environ: Environ) -> Answer:
        began = perf_counter()
        return _answer(environ, "readyz", await self._checks.result(environ), began)


class ReadinessChecks(BackgroundService):
    """The thread that runs the view of /readyz for all probes that wait, one after another."""

    def __init__(self) -> None:
        super().__init__("readiness-checks")
        self._waiting: list[tuple[asyncio.Future[Result], Environ]] = []

    async def result(self, environ: Environ) -> Result:
        """Status and body of the answer to a probe; 503 where the check takes longer than CHECK_TIMEOUT_SECONDS."""
        self.start()
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((result, environ))
            self.wake()
            with suppress(TimeoutError):
                return await asyncio.wait_for(result, CHECK_TIMEOUT_SECONDS)
        return 503, NO_ANSWER

    def turn(self) -> None:
        """Answer all that wait."""
        while self._waiting:
            result, environ = self._waiting.pop(0)
            if not result.done():  # nobody waits for it any more
                close_old_connections()  # the connection may have to be replaced after a silence of the network
                try:
                    response = PROBES["readyz"](WSGIRequest(environ)).render()
                    told = response.status_code, bytes(response.content)
                finally:
                    close_old_connections()
                with suppress(RuntimeError):  # the loop is closed: the process ends
                    result.get_loop().call_soon_threadsafe(_tell, result, told)

    def pause(self) -> None:
        """Wait until somebody asks."""
        return

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("readiness_failed", exc_info=error)

    def on_fork(self) -> None:
        """Nobody waits in the child."""
        self._waiting = []


def _tell(result: asyncio.Future[Result], told: Result) -> None:
    if not result.done():
        result.set_result(told)


def _answer(environ: Environ, route: str, result: Result, began: float) -> Answer:
    status, body = result
    given = environ.get("HTTP_X_REQUEST_ID", "")
    request_id = given if VALID_REQUEST_ID.fullmatch(given) else uuid4().hex
    headers = [
        ("Content-Type", "application/json"), ("X-Request-ID", request_id), ("Content-Length", str(len(body))),
    ]  # fmt: skip
    seconds = perf_counter() - began
    requests.count(method=environ["REQUEST_METHOD"], route=route, status=status, seconds=seconds)
    log.debug(
        "request_answered", method=environ["REQUEST_METHOD"], route=route, path=f"/{route}", status=status,
        durationMs=round(seconds * 1000, 1), correlationId=request_id,
    )  # fmt: skip
    return f"{status} {HTTPStatus(status).phrase}", headers, body
