"""The threads of a web process, which answer what may take time or wait for the database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from flagsite.web_server.bodies import PART_BYTES, AnswerParts
from flagsite.web_server.connection import Connection, Headers
from flagsite.web_server.heads import Environ
from flagsite.web_server.lanes import ONLY_LANE, Lane, Refused, WaitingRequest, WaitingRequests
from flagsite.web_server.limits import Limits
from flagsite.web_server.refusals import refusal

log = structlog.get_logger(__name__)
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
TOO_BUSY = "The server is too busy. Send the request again in a second."
CAME_AT = "flagsite.came_at"
"""The name in WSGI's environment of the monotonic time at which the request had come in whole."""
LOOK_SECONDS = 0.05
"""How often the event loop looks for requests that have waited too long, while requests wait."""


class Threads:
    """Runs a WSGI application (PEP 3333): each of its lanes has a fixed number of threads.

    A thread gets requests that have come in whole, and hands on answers without waiting for the client. So no client
    can hold it. Requests that hold the threads of one lane keep no request of another lane waiting.
    """

    def __init__(
        self,
        application: WsgiApplication,
        *,
        count: int,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        refused: Refused = lambda connection, status: None,
    ) -> None:
        """`count` is the number of threads of each lane. `refused` is told of each request that gets 503."""
        lanes: tuple[Lane, ...] = getattr(application, "lanes", (ONLY_LANE,))
        self._lane_of: Callable[[Environ], Lane] = getattr(application, "lane_of", lambda environ: ONLY_LANE)
        self._loop = loop
        self._lanes = {
            lane: _LaneThreads(lane, application, count=count, limits=limits, loop=loop, refused=refused)
            for lane in lanes
        }

    def begin(self, connection: Connection, environ: Environ) -> None:
        """Have a thread answer the request; 503 where too many wait already, or where it waits too long."""
        self._lanes[self._lane_of(environ)].begin(connection, environ)

    def stop(self, within: float) -> None:
        """Let each thread end after its request; wait for that, but not longer than `within` seconds."""
        for lane in self._lanes.values():
            lane.stop()
        end = self._loop.time() + within
        for lane in self._lanes.values():
            lane.join(until=end)


class _LaneThreads:
    """The threads of one lane, and the requests that wait for them."""

    def __init__(
        self,
        lane: Lane,
        application: WsgiApplication,
        *,
        count: int,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        refused: Refused,
    ) -> None:
        self._lane = lane
        self._application = application
        self._most = limits.queued_requests
        self._loop = loop
        self._refused = refused
        self._waiting = WaitingRequests()
        self._will_look = False
        """Whether the event loop will look for requests that have waited too long."""
        self._threads = [
            threading.Thread(target=self._run, name=f"{lane.name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def begin(self, connection: Connection, environ: Environ) -> None:
        """Let the request wait for a thread."""
        if len(self._waiting) >= self._most:
            self._refuse(connection)
            return
        environ[CAME_AT] = came_at = time.monotonic()
        self._waiting.add(WaitingRequest(came_at, connection, environ))
        if not self._will_look:
            self._will_look = True
            self._loop.call_later(LOOK_SECONDS, self._refuse_late)

    def stop(self) -> None:
        """Let each thread end when no request waits."""
        self._waiting.close()

    def join(self, until: float) -> None:
        """Wait for the ends of the threads, until this time of the event loop."""
        for thread in self._threads:
            thread.join(max(0.0, until - self._loop.time()))

    def _refuse_late(self) -> None:
        for request in self._waiting.take_older_than(time.monotonic() - self._lane.queued_seconds):
            self._refuse(request.connection)
        self._will_look = len(self._waiting) > 0
        if self._will_look:
            self._loop.call_later(LOOK_SECONDS, self._refuse_late)

    def _refuse(self, connection: Connection) -> None:
        if not connection.is_gone:
            self._refused(connection, 503)
            connection.answer(*refusal(503, TOO_BUSY))

    def _run(self) -> None:
        while (request := self._waiting.next()) is not None:
            if not request.connection.is_gone:
                _ThreadAnswer(request.connection, self._in_loop).make(self._application, request.environ)

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
