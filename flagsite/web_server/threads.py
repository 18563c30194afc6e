"""The threads of a web process, which answer what may take time or wait for the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

import structlog

from flagsite.web_server.bodies import PART_BYTES, AnswerParts
from flagsite.web_server.connection import Connection, Headers
from flagsite.web_server.heads import Environ
from flagsite.web_server.limits import Limits
from flagsite.web_server.refusals import refusal

log = structlog.get_logger(__name__)
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
TOO_BUSY = "The server is too busy. Send the request again in a second."


class Threads:
    """Runs a WSGI application (PEP 3333) in a fixed number of threads.

    A thread gets requests that have come in whole, and hands on answers without waiting for the client. So no client
    can hold it.
    """

    def __init__(
        self, application: WsgiApplication, *, count: int, limits: Limits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._application = application
        self._limits = limits
        self._loop = loop
        self._requests: SimpleQueue[tuple[float, Connection, Environ] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"web-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def begin(self, connection: Connection, environ: Environ) -> None:
        """Have a thread answer the request; 503 where too many wait already."""
        if self._requests.qsize() >= self._limits.queued_requests:
            connection.answer(*refusal(503, TOO_BUSY))
        else:
            self._requests.put((self._loop.time(), connection, environ))

    def stop(self, within: float) -> None:
        """Let each thread end after its request; wait for that, but not longer than `within` seconds."""
        for _ in self._threads:
            self._requests.put(None)
        end = self._loop.time() + within
        for thread in self._threads:
            thread.join(max(0.0, end - self._loop.time()))

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            came_at, connection, environ = request
            if connection.is_gone:
                continue
            if self._loop.time() - came_at > self._limits.queued_seconds:
                self._in_loop(connection.answer, *refusal(503, TOO_BUSY))
                continue
            _ThreadAnswer(connection, self._in_loop).make(self._application, environ)

    def _in_loop(self, function: Callable[..., object], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("web_process_ended_first")  # the loop is closed: the process ends


class _ThreadAnswer:
    """The answer to one request, as a thread makes it: sent in one piece where it is short, else in parts."""

    def __init__(self, connection: Connection, in_loop: Callable[..., None]) -> None:
        self._connection = connection
        self._in_loop = in_loop
        self._status = ""
        self._headers: Headers = []
        self._first: list[bytes] = []
        self._first_size = 0
        self._parts: AnswerParts | None = None

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        """As WSGI has it."""
        self._status, self._headers = status, headers
        return self._add

    def make(self, application: WsgiApplication, environ: Environ) -> None:
        """Run the application and hand on what it returns."""
        try:
            result = application(environ, self.start_response)
            try:
                if isinstance(result, list):
                    self._first.append(b"".join(result))
                else:
                    for part in result:
                        self._add(part)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
            self._end()
        except BrokenPipeError:
            pass  # the client is gone
        except BaseException:  # SystemExit too, so that an application cannot end the thread
            log.exception("web_server_failed")
            self._fail()

    def _add(self, part: bytes) -> None:
        if self._parts is not None:
            self._parts.add(part)
            self._in_loop(self._connection.more_parts)
            return
        self._first.append(part)
        self._first_size += len(part)
        if self._first_size > PART_BYTES:
            self._parts = AnswerParts()
            for one in self._first:
                self._parts.add(one)
            self._in_loop(self._connection.begin_parts, self._status, self._headers, self._parts)

    def _end(self) -> None:
        if self._parts is None:
            self._in_loop(self._connection.answer, self._status, self._headers, b"".join(self._first))
        else:
            self._parts.end()
            self._in_loop(self._connection.more_parts)

    def _fail(self) -> None:
        if self._parts is None:
            self._in_loop(self._connection.answer, *refusal(500, "Something went wrong on our side."))
        else:
            self._in_loop(self._connection.abort)
