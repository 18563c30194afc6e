"""A web process: one event loop that talks to all clients, and some threads that answer."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

import structlog

from flagsite.web_server.connection import Connection
from flagsite.web_server.heads import Environ, head
from flagsite.web_server.limits import Limits
from flagsite.web_server.refusals import Answer, refusal
from flagsite.web_server.request_reader import IDLE, NO_ROOM

log = structlog.get_logger(__name__)
CHECK_SECONDS = 0.5
"""How often the deadlines are looked at."""
OTHER_FILES = 256
"""Files that a process has open besides its connections."""
MOST_REFUSED = 256
"""Refused connections that stay open until their clients have read why."""
REFUSED_SECONDS = 1.0
FAILED_ACCEPT_SECONDS = 0.1


class Answering(Protocol):
    """Whoever answers requests later: threads or tasks."""

    def begin(self, connection: Connection, environ: Environ) -> None:
        """Answer the request some time, in the event loop."""


Now = Callable[[Environ], Answer | Coroutine[Any, Any, Answer] | None]


class WebProcess:
    """Accepts connections, and hands each request on to whoever answers it."""

    def __init__(
        self, listener: socket.socket, limits: Limits, loop: asyncio.AbstractEventLoop, now: Now | None = None
    ) -> None:
        """`now` answers in the event loop, without waiting; None for a request that `answering` gets."""
        self.limits = limits
        self.loop = loop
        self.now = loop.time
        self.is_stopping = False
        self.buffered_bytes = 0
        """What the bodies of requests take that are not answered yet."""
        self.environ = _environ(listener)
        self.answering: Answering
        self._listener = listener
        self._answer_now = now
        self._most = min(limits.connections, _most_files() - OTHER_FILES)
        self._connections: set[Connection] = set()
        self._without_request: dict[Connection, None] = {}
        """Those that have sent no whole request since the last answer, the longest time first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: deque[tuple[float, socket.socket]] = deque()
        self._opening = 0
        self._warned_at = 0.0

    # --- connections --------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Accept connections and keep the deadlines."""
        self.loop.add_reader(self._listener, self._accept)
        self._check()

    def opened(self, connection: Connection) -> None:
        """The connection is there."""
        self._opening -= 1
        self._connections.add(connection)
        self._without_request[connection] = None

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        self._without_request.pop(connection, None)

    def waits_for_request(self, connection: Connection) -> None:
        """The connection's request is answered."""
        self._without_request[connection] = None

    def refused(self, connection: Connection, status: int) -> None:
        """The connection's request gets this status and was not handed on to the application."""
        self._without_request.pop(connection, None)
        self._say(log.info, "request_refused", status=status, address=connection.client)

    def failed(self, error: BaseException | None) -> None:
        """A request could not be taken in: the disk is full, for example."""
        self._say(log.error, "web_server_failed", exc_info=error)

    def has_room_for(self, length: int) -> bool:
        """Whether a body of this length may come in."""
        return self.buffered_bytes + length <= self.limits.all_bodies_bytes

    def make_room_for(self, length: int) -> bool:
        """Refuse the largest bodies that have not come whole until there is room; False where these do not suffice."""
        while not self.has_room_for(length):
            largest = max(self._without_request, key=lambda one: one.incoming_bytes, default=None)
            if largest is None or not largest.incoming_bytes:
                return False
            del self._without_request[largest]
            largest.refuse(503, NO_ROOM)
        return True

    def _accept(self) -> None:
        try:
            client, address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return  # another process has taken it
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._say(log.warning, "connection_not_accepted", error=str(error))
                self.loop.remove_reader(self._listener)
                self.loop.call_later(FAILED_ACCEPT_SECONDS, self._accept_again)
            return
        client.setblocking(False)  # noqa: FBT003
        if len(self._connections) + self._opening >= self._most and not self._make_room():
            self._refuse(client)
            return
        self._opening += 1
        self._keep(self._open(client, address))

    def _accept_again(self) -> None:
        if not self.is_stopping:
            self.loop.add_reader(self._listener, self._accept)

    async def _open(self, client: socket.socket, address: Any) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: Connection(self, address), client)
        except OSError:
            self._opening -= 1  # the client is gone already
            client.close()

    def _make_room(self) -> bool:
        """End the connection that has sent no whole request for the longest time; False where each has sent one."""
        for connection in self._without_request:
            del self._without_request[connection]
            connection.evict()
            return True
        return False

    def _refuse(self, client: socket.socket) -> None:
        self._say(log.warning, "connection_refused", connections=self._most)
        status, headers, body = refusal(503, "The server has too many connections. Try again in a second.")
        with suppress(OSError):
            client.send(head(status, headers, "Connection: close") + body)
            client.shutdown(socket.SHUT_WR)
        self._refused.append((self.now() + REFUSED_SECONDS, client))
        if len(self._refused) > MOST_REFUSED:
            self._refused.popleft()[1].close()

    def _check(self) -> None:
        now = self.now()
        for connection in [one for one in self._connections if one.deadline < now]:
            connection.expire()
        while self._refused and self._refused[0][0] < now:
            self._refused.popleft()[1].close()
        self.loop.call_later(CHECK_SECONDS, self._check)

    # --- requests -----------------------------------------------------------------------------------------------------
    def begin(self, connection: Connection, environ: Environ) -> None:
        """Answer the request now, or have it answered."""
        self._without_request.pop(connection, None)
        if self._answer_now is not None:
            try:
                answer = self._answer_now(environ)
            except Exception:
                log.exception("web_server_failed")
                answer = refusal(500, "Something went wrong on our side.")
            if type(answer) is tuple:
                connection.answer(*answer, has_length=True)
                return
            if answer is not None:
                self._keep(self._answer_later(connection, answer))  # type: ignore[arg-type]
                return
        self.answering.begin(connection, environ)

    async def _answer_later(self, connection: Connection, coming: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await coming
        except Exception:
            log.exception("web_server_failed")
            answer = refusal(500, "Something went wrong on our side.")
        connection.answer(*answer, has_length=True)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the end ------------------------------------------------------------------------------------------------------
    async def stop(self, within: float) -> None:
        """Accept no more; let requests that have begun be answered, but not longer than `within` seconds."""
        self.is_stopping = True
        self.loop.remove_reader(self._listener)
        self._listener.close()  # so that others get what nobody has accepted
        for connection in list(self._connections):
            if connection.phase == IDLE:
                connection.close()
        end = self.now() + within
        while self._connections and self.now() < end:
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()

    def _say(self, level: Callable[..., Any], event: str, **fields: Any) -> None:
        """Log an event that clients cause, at most once a second."""
        if self.now() - self._warned_at >= 1:
            self._warned_at = self.now()
            level(event, **fields)


def _environ(listener: socket.socket) -> Environ:
    """What WSGI's environment has for each request."""
    host, port = listener.getsockname()[:2]
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "Flagsite",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _most_files() -> int:
    """The number of files that this process may open, raised as far as it is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return 2**20 if soft == resource.RLIM_INFINITY else soft
