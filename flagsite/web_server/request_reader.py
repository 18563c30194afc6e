"""The requests of one connection, as the parser reports them piece by piece."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
import structlog

from flagsite.web_server.bodies import RequestBody
from flagsite.web_server.heads import METHODS, Environ, add_header, add_target, known_headers
from flagsite.web_server.limits import BODY_BYTES_PER_SECOND, LONGEST_HEADER, MOST_HEADERS, MOST_PIPELINED
from flagsite.web_server.refusals import Refusal

if TYPE_CHECKING:
    from flagsite.web_server.web_process import WebProcess

log = structlog.get_logger(__name__)
IDLE, HEAD, BODY, ANSWER, SENDING, LINGERING = range(6)
"""The phases of a connection: what it waits for. Plain numbers, because each request compares them several times."""


class RequestReader:
    """Puts requests together and checks their sizes; a connection begins to answer those that are complete."""

    __slots__ = (
        "_address", "_body", "_closes", "_environ", "_head_done", "_head_size", "_parser", "_port", "_process",
        "_target", "_transport", "_waiting", "deadline", "phase",
    )  # fmt: skip

    def __init__(self, process: WebProcess, client: tuple[Any, ...]) -> None:
        self.phase = IDLE
        self.deadline = process.now() + process.limits.head_seconds
        """When the client must have done what the phase says, on the event loop's clock."""
        self._process = process
        self._address, self._port = str(client[0]), str(client[1])
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._environ: Environ = {}
        self._target = b""
        self._body: bytes | RequestBody = b""
        self._head_size = 0
        self._head_done = True
        self._closes = False
        """Whether the connection ends after the answer."""
        self._waiting: deque[tuple[Environ, bytes | RequestBody]] | None = None
        """Complete requests that came before the answer to an earlier one."""

    def refuse(self, status: int, detail: str) -> None:
        """Answer with an error, and close the connection."""
        raise NotImplementedError

    def _begin(self, environ: Environ, body: bytes | RequestBody) -> None:
        raise NotImplementedError

    def _release(self, *bodies: bytes | RequestBody) -> None:
        for body in bodies:
            if type(body) is bytes:
                self._process.buffered_bytes -= len(body)
            elif isinstance(body, RequestBody):
                self._process.buffered_bytes -= body.size
                body.close()

    # --- the parser ---------------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        if self.phase == IDLE:
            self.phase = HEAD
            self.deadline = self._process.now() + self._process.limits.head_seconds
        self._head_size = 0
        self._head_done = False
        self._target = b""
        self._body = b""
        self._environ = self._process.environ.copy()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # it is a trailer, which nobody reads
        environ = self._environ
        known = known_headers.get(name)
        if known and known not in environ and len(value) <= LONGEST_HEADER and len(environ) <= MOST_HEADERS:
            environ[known] = value.decode("latin-1")
        else:
            add_header(environ, name, value)

    def on_headers_complete(self) -> None:
        self._head_done = True
        environ, parser = self._environ, self._parser
        method = parser.get_method()
        environ["REQUEST_METHOD"] = METHODS.get(method) or method.decode("latin-1")
        add_target(environ, self._target)
        environ["REMOTE_ADDR"] = self._address
        environ["REMOTE_PORT"] = self._port
        if parser.get_http_version() != "1.1":
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        elif "HTTP_HOST" not in environ:
            raise Refusal(400, "The request has no Host header.")
        if "HTTP_UPGRADE" in environ:
            self._closes = True
        if "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0":
            self._await_body(environ)

    def on_body(self, body: bytes) -> None:
        self._process.buffered_bytes += len(body)
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            first, self._body = self._body, RequestBody()
            self._body.add(first)
        self._body.add(body)
        limits = self._process.limits
        if self._body.size > limits.body_bytes:
            raise Refusal(413, f"The body of a request may have {limits.body_bytes} bytes.")
        if self.phase == BODY:
            self.deadline += len(body) / BODY_BYTES_PER_SECOND

    def on_message_complete(self) -> None:
        environ, body = self._environ, self._body
        self._body = b""
        environ["flagsite.keep_alive"] = self._parser.should_keep_alive()
        if self.phase < ANSWER:
            self._begin(environ, body)
        elif self.phase == ANSWER:
            if self._waiting is None:
                self._waiting = deque()
            if len(self._waiting) >= MOST_PIPELINED:
                raise Refusal(503, f"At most {MOST_PIPELINED} requests may wait for the answer to an earlier one.")
            self._waiting.append((environ, body))
        else:
            self._release(body)

    def _await_body(self, environ: Environ) -> None:
        limits = self._process.limits
        length = environ.get("CONTENT_LENGTH", "0")
        if not length.isdecimal() or int(length) > limits.body_bytes:
            raise Refusal(413, f"The body of a request may have {limits.body_bytes} bytes.")
        if not self._process.has_room_for(int(length)):
            raise Refusal(503, "Too many large requests are coming in. Send this one again in a second.")
        if self.phase == HEAD:
            self.phase = BODY
            self.deadline = self._process.now() + limits.body_seconds
            if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _fail(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refusal):
            self.refuse(cause.status, str(cause))
        elif isinstance(error, httptools.HttpParserCallbackError):
            log.error("web_server_failed", exc_info=cause)
            self.refuse(500, "Something went wrong on our side.")
        else:
            self.refuse(400, "The request is not valid HTTP/1.1.")
