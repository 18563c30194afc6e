"""ASGI applications (https://asgi.readthedocs.io), which answer in the event loop: for answers that go on for hours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog

from flagsite.web_server.connection import Connection
from flagsite.web_server.heads import Environ
from flagsite.web_server.refusals import refusal

log = structlog.get_logger(__name__)
Message = dict[str, Any]
AsgiApplication = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]


class AsgiAnswers:
    """Runs an ASGI application: its lifespan, and a task for each request."""

    def __init__(self, application: AsgiApplication, loop: asyncio.AbstractEventLoop) -> None:
        self._application = application
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._life: asyncio.Queue[Message] = asyncio.Queue()
        self._stopped = asyncio.Event()

    def begin(self, connection: Connection, environ: Environ) -> None:
        """Have a task answer the request."""
        connection.gone = self._loop.create_future()
        task = self._loop.create_task(self._answer(connection, environ))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Tell the application that the process begins."""
        self._life.put_nowait({"type": "lifespan.startup"})
        self._living = self._loop.create_task(self._live())

    async def stop(self) -> None:
        """End all answers, and tell the application that the process ends."""
        for task in self._tasks:
            task.cancel()
        self._life.put_nowait({"type": "lifespan.shutdown"})
        await self._stopped.wait()

    async def _live(self) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self._stopped.set()

        try:
            await self._application({"type": "lifespan"}, self._life.get, send)
        finally:
            self._stopped.set()

    async def _answer(self, connection: Connection, environ: Environ) -> None:
        exchange = _Exchange(connection, environ)
        try:
            await self._application(_scope(environ), exchange.receive, exchange.send)
        except (BrokenPipeError, asyncio.CancelledError):
            connection.abort()
        except Exception:
            log.exception("web_server_failed")
            if exchange.is_begun:
                connection.abort()
            else:
                connection.answer(*refusal(500, "Something went wrong on our side."))
        finally:
            connection.gone = None


class _Exchange:
    """What an ASGI application receives of one request and sends to it."""

    def __init__(self, connection: Connection, environ: Environ) -> None:
        self.is_begun = False
        self._connection = connection
        self._environ = environ
        self._is_read = False

    async def receive(self) -> Message:
        """The request's body, then the end of the connection."""
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self._environ["wsgi.input"].read(), "more_body": False}
        if self._connection.gone is not None:
            await asyncio.shield(self._connection.gone)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the head, or a part of the body, and wait until the client takes it."""
        if self._connection.is_gone:
            raise BrokenPipeError
        if message["type"] == "http.response.start":
            self.is_begun = True
            headers = [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in message["headers"]]
            status = message["status"]
            self._connection.send_head(f"{status} {HTTPStatus(status).phrase}", headers)
            return
        if part := message.get("body", b""):
            self._connection.send_part(part)
            await self._connection.until_taken()
        if not message.get("more_body", False):
            self._connection.gone = None  # from now on nobody waits for its end
            self._connection.send_part(b"")


def _scope(environ: Environ) -> Message:
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
    ]
    path: str = environ["PATH_INFO"]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": "http",
        "path": path.encode("latin-1").decode("utf-8", "replace"),
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": headers,
        "client": (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])),
    }
