"""The requests of one connection, as the parser reports them piece by piece."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httptools

from flagsite.web_server.bodies import RequestBody
from flagsite.web_server.heads import METHODS, Environ, add_header, add_target, known_headers, other_method
from flagsite.web_server.limits import (
    BODY_BYTES_PER_SECOND,
    BODY_BYTES_WITHOUT_FILE,
    LONGEST_HEAD,
    LONGEST_HEADER,
    MOST_HEADERS,
    MOST_PIPELINED,
)
from flagsite.web_server.refusals import Refusal

if TYPE_CHECKING:
    from flagsite.web_server.web_process import WebProcess

IDLE, HEAD, BODY, ANSWER, SENDING, LINGERING = range(6)
"""The phases of a connection: what it waits for. Plain numbers, because each request compares them several times."""
UPGRADE = 6
"""What comes in after a head that asks for another protocol and has a body: the parser does not read this body."""
NO_ROOM = "Too many large requests are coming in. Send this one again in a second."


class RequestReader:
    """Puts requests together and checks their sizes; a connection begins to answer those that are complete."""

    __slots__ = (
        "_address", "_body", "_closes", "_environ", "_incoming", "_parser", "_port", "_process", "_seen",
        "_target", "_transport", "_unread", "_waiting", "deadline", "phase",
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
        self._unread = 0
        """The bytes of the head, or those without a byte of the body since it grew last."""
        self._seen = 0
        """The size of the body when that was looked at last."""
        self._incoming = IDLE
        """What of a request comes in, also while an earlier one is answered: IDLE, HEAD, BODY or UPGRADE."""
        self._closes = False
        """Whether the connection ends after the answer."""
        self._waiting: deque[tuple[Environ, bytes | RequestBody]] | None = None
        """Complete requests that came before the answer to an earlier one."""

    @property
    def incoming_bytes(self) -> int:
        """How much there is of a body that has not come whole yet."""
        return self._body.size if isinstance(self._body, RequestBody) else len(self._body)

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
        self._unread = 0
        self._incoming = HEAD
        self._target = b""
        self._body = b""
        self._environ = self._process.environ.copy()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming != HEAD:
            return  # it is a trailer, which nobody reads
        environ = self._environ
        known = known_headers.get(name)
        if known and known not in environ and len(value) <= LONGEST_HEADER and len(environ) <= MOST_HEADERS:
            environ[known] = value.decode("latin-1")
        else:
            add_header(environ, name, value)

    def on_headers_complete(self) -> None:
        environ, parser = self._environ, self._parser
        method = parser.get_method()
        environ["REQUEST_METHOD"] = METHODS.get(method) or other_method(method)
        add_target(environ, self._target)
        environ["REMOTE_ADDR"] = self._address
        environ["REMOTE_PORT"] = self._port
        if parser.get_http_version() != "1.1":
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        elif "HTTP_HOST" not in environ:
            raise Refusal(400, "The request has no Host header.")
        if "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0":
            self._await_body(environ)
        if "HTTP_UPGRADE" in environ:
            self._closes = True
            if self._incoming == BODY and parser.should_upgrade():
                self._incoming = UPGRADE

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
        if self._incoming == UPGRADE:
            return
        environ, body = self._environ, self._body
        self._incoming = IDLE
        self._body = b""
        environ["flagsite.keep_alive"] = self._parser.should_keep_alive()
        if self.phase < ANSWER:
            self._begin(environ, body)
        elif self.phase != LINGERING:
            if self._waiting is None:
                self._waiting = deque()
            if len(self._waiting) >= MOST_PIPELINED:
                raise Refusal(503, f"At most {MOST_PIPELINED} requests may wait for the answer to an earlier one.")
            self._waiting.append((environ, body))
        else:
            self._release(body)

    def _await_body(self, environ: Environ) -> None:
        limits = self._process.limits
        length = environ.get("CONTENT_LENGTH", "0").strip()
        if not length.isdecimal() or int(length) > limits.body_bytes:
            raise Refusal(413, f"The body of a request may have {limits.body_bytes} bytes.")
        if "HTTP_TRANSFER_ENCODING" in environ and environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding.")
        if not self._process.has_room_for(int(length)) and (
            int(length) > BODY_BYTES_WITHOUT_FILE or not self._process.make_room_for(int(length))
        ):
            raise Refusal(503, NO_ROOM)
        self._incoming = BODY
        if self.phase == HEAD:
            self._begin_body()

    def _begin_body(self) -> None:
        """From now on the connection waits for the body of a request whose head is there."""
        self.phase = BODY
        self.deadline = self._process.now() + self._process.limits.body_seconds
        self._unread = self._seen = 0
        environ = self._environ
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue" and environ["SERVER_PROTOCOL"] == "HTTP/1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _limit_head(self, size: int) -> None:
        """Refuse a head that is too long, after another `size` bytes of it."""
        self._unread += size
        if self._unread > LONGEST_HEAD:
            self.refuse(431, f"The headers of a request may have {LONGEST_HEAD} bytes.")

    def _limit_body(self, size: int) -> None:
        """Refuse a body of which nothing comes, and make room for it, after another `size` bytes of the request."""
        if self.incoming_bytes != self._seen:
            self._seen, self._unread = self.incoming_bytes, 0
        else:  # trailers, or what a client adds to the sizes of chunks
            self._limit_head(size)
        if not self._process.has_room_for(0):
            self._process.make_room_for(0)

    def _read_body_without_parser(self, data: bytes) -> None:
        """Read the body of a request that asks for another protocol; `data` is what follows its head.

        The parser leaves this body to the other protocol. So a second parser reads it, behind a head of our own.
        """
        self._incoming = BODY
        environ, self._parser = self._environ, httptools.HttpRequestParser(_BodyOnly(self))
        name = "Transfer-Encoding" if "HTTP_TRANSFER_ENCODING" in environ else "Content-Length"
        value = "chunked" if name == "Transfer-Encoding" else environ["CONTENT_LENGTH"]
        self._parser.feed_data(f"POST / HTTP/1.1\r\n{name}: {value}\r\n\r\n".encode("latin-1"))
        with suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(data)

    def _fail(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refusal):
            self.refuse(cause.status, str(cause))
        elif isinstance(error, httptools.HttpParserCallbackError):
            self._process.failed(cause)
            if isinstance(cause, OSError):  # no file for the body, for example
                self.refuse(503, NO_ROOM)
            else:
                self.refuse(500, "Something went wrong on our side.")
        else:
            self.refuse(400, "The request is not valid HTTP/1.1.")


class _BodyOnly:
    """What the parser of one body reports. Nobody reads what follows this body: the connection ends with its answer."""

    def __init__(self, reader: RequestReader) -> None:
        self._reader = reader
        self._is_complete = False

    def on_body(self, body: bytes) -> None:
        if not self._is_complete:
            self._reader.on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_complete:
            self._is_complete = True
            self._reader.on_message_complete()
