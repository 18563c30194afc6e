"""One connection of a client: it takes requests in, keeps the deadlines, and sends the answers."""

from __future__ import annotations

import asyncio
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Any

import httptools
import structlog

from flagsite.web_server.bodies import AnswerParts, RequestBody, input_of
from flagsite.web_server.heads import Environ, head
from flagsite.web_server.refusals import Answer, refusal
from flagsite.web_server.request_reader import ANSWER, BODY, HEAD, IDLE, LINGERING, SENDING, UPGRADE, RequestReader

if TYPE_CHECKING:
    from flagsite.web_server.web_process import WebProcess

log = structlog.get_logger(__name__)
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending, so that it can read the answer before the connection is gone."""
SLOWEST_BYTES_PER_SECOND = 1000
"""How fast a client has to take a long answer."""
BODILESS = frozenset({"204", "304"})
"""Answers with these statuses have no body."""
Headers = list[tuple[str, str]]


class Connection(RequestReader, asyncio.Protocol):
    """Calls `process.begin` with each complete request; whoever answers it calls `answer`, or `begin_parts`."""

    __slots__ = (
        "_answered_body", "_is_half_closed", "_is_http_1_0", "_is_keep_alive", "_later", "_parts", "_resumed",
        "_unsent", "gone", "is_chunked", "is_head",
    )  # fmt: skip

    def __init__(self, process: WebProcess, client: tuple[Any, ...]) -> None:
        super().__init__(process, client)
        self.gone: asyncio.Future[None] | None = None
        """For whoever waits for the client to leave."""
        self.is_chunked = self.is_head = False
        self._answered_body: bytes | RequestBody = b""
        """The body of the request that is being answered."""
        self._is_half_closed = False
        """The client has sent its last request."""
        self._is_http_1_0 = self._is_keep_alive = False
        self._later = b""
        """What came while an answer is made; it is read afterwards."""
        self._parts: AnswerParts | None = None
        self._resumed: asyncio.Future[None] | None = None
        """While the client takes no more bytes."""
        self._unsent = 0
        """What it had not taken when that was looked at last."""

    @property
    def client(self) -> str:
        """The address of the client, or of the proxy before it."""
        return self._address

    @property
    def is_gone(self) -> bool:
        """Whether the client has left, so that nobody reads an answer."""
        return self._transport is None

    # --- asyncio ----------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._process.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.phase >= ANSWER:
            if self.phase != LINGERING:
                self._later += data
                self._transport.pause_reading()
            return
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._incoming == UPGRADE:
                    self._read_body_without_parser(data[upgrade.args[0] :])
                # otherwise the client goes on in another protocol, which nobody here speaks
        except httptools.HttpParserError as error:
            self._fail(error)
        if self.phase == HEAD:
            self._limit_head(len(data))
        elif self.phase == BODY:
            self._limit_body(len(data))

    def eof_received(self) -> bool:
        if self.phase in {ANSWER, SENDING} and self.gone is None:
            self._is_half_closed = True
            return True  # it may still read the answers
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._process.closed(self)
        self._forget_requests()
        if self._parts is not None:
            self._parts.close()
        for future in (self._resumed, self.gone):
            if future is not None and not future.done():
                future.set_result(None)
        self._transport = None

    def pause_writing(self) -> None:
        self._resumed = self._process.loop.create_future()
        if self.phase == IDLE:
            self.phase = SENDING
        if self.phase >= ANSWER:
            self._unsent = self._transport.get_write_buffer_size()
            self.deadline = self._process.now() + self._process.limits.send_seconds

    def resume_writing(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        self._resumed = None
        if self.phase == ANSWER:
            self.deadline = inf
            self._send_parts()
        elif self.phase == SENDING:
            self._answered()

    # --- requests -----------------------------------------------------------------------------------------------------
    def _begin(self, environ: Environ, body: bytes | RequestBody) -> None:
        self.phase = ANSWER
        self.deadline = inf
        self._is_http_1_0 = environ["SERVER_PROTOCOL"] == "HTTP/1.0"
        self._is_keep_alive = environ.pop("flagsite.keep_alive")
        self._answered_body = body
        self.is_head = environ["REQUEST_METHOD"] == "HEAD"
        environ["wsgi.input"] = BytesIO(body) if type(body) is bytes else input_of(body)
        self._process.begin(self, environ)

    def _forget_requests(self) -> None:
        self._release(self._body, self._answered_body, *(body for _, body in self._waiting or ()))
        self._body = self._answered_body = self._later = b""
        self._waiting = None

    def _answered(self) -> None:
        """Go on with the next request, if there is one and the client has taken the answer."""
        if self._answered_body:
            self._release(self._answered_body)
            self._answered_body = b""
        if self._resumed is not None:
            self.phase = SENDING
            return
        if self._closes or not self._is_keep_alive or self._process.is_stopping:
            self.close()
            return
        if self._waiting:
            self._begin(*self._waiting.popleft())
            return
        self._await_request()
        if self._later:
            data, self._later = self._later, b""
            self._transport.resume_reading()
            self.data_received(data)
        if self._is_half_closed and self.phase < ANSWER:
            self.close()

    def _await_request(self) -> None:
        """Go on with the request that comes in, or wait for the next."""
        if self._incoming == BODY:
            self._begin_body()
        else:
            limits = self._process.limits
            self.phase = IDLE if self._incoming == IDLE else HEAD
            self.deadline = self._process.now() + (limits.head_seconds if self._incoming else limits.idle_seconds)
        self._process.waits_for_request(self)

    # --- answers ------------------------------------------------------------------------------------------------------
    def answer(self, status: str, headers: Headers, body: bytes, *, has_length: bool = False) -> None:
        """Send a whole answer to the request that is being answered.

        With `has_length` the headers tell the length of the body, or there must be none.
        """
        if self._transport is None:
            return
        more = self._connection_header()
        if not has_length:
            if status[:3] in BODILESS:
                self.is_head = True
            elif not _has_length(headers):
                more = (*more, f"Content-Length: {len(body)}")
        try:
            data = head(status, headers, *more)
        except ValueError:
            log.exception("web_server_failed")
            self.answer(*refusal(500, "Something went wrong on our side."))
            return
        self._transport.write(data if self.is_head else data + body)
        self._answered()

    def begin_parts(self, status: str, headers: Headers, parts: AnswerParts) -> None:
        """Send an answer whose parts come one after another; `more_parts` says that there are some."""
        if self._transport is None:
            parts.close()
            return
        try:
            self.send_head(status, headers)
        except ValueError:
            log.exception("web_server_failed")
            parts.close()
            self.abort()
            return
        self._parts = parts
        self._send_parts()

    def more_parts(self) -> None:
        """Send the parts that there are by now."""
        self._send_parts()

    def send_head(self, status: str, headers: Headers) -> None:
        """Send the head of an answer whose length may not be known."""
        has_length = _has_length(headers)
        self.is_head = self.is_head or status[:3] in BODILESS
        self.is_chunked = not (has_length or self._is_http_1_0 or status[:3] in BODILESS)
        if not has_length and self._is_http_1_0:
            self._is_keep_alive = False
        more = ("Transfer-Encoding: chunked",) if self.is_chunked else ()
        self._transport.write(head(status, headers, *self._connection_header(), *more))

    def send_part(self, part: bytes) -> None:
        """Send a part of the body; an empty one is the last."""
        if self._transport is None:
            return
        if not self.is_head:
            if self.is_chunked:
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part))
            elif part:
                self._transport.write(part)
        if not part:
            self._answered()

    async def until_taken(self) -> None:
        """Wait until the client takes bytes again. Raises BrokenPipeError where it is gone."""
        if self._resumed is not None:
            await self._resumed
        if self._transport is None:
            raise BrokenPipeError

    def _send_parts(self) -> None:
        while self._parts is not None and self._resumed is None and self._transport is not None:
            parts = self._parts
            part = parts.next()
            if part is None:
                return
            if not part:
                parts.close()
                self._parts = None
            self.send_part(part)

    def _connection_header(self) -> tuple[str, ...]:
        if self._closes or not self._is_keep_alive or self._process.is_stopping:
            return ("Connection: close",)
        return ("Connection: keep-alive",) if self._is_http_1_0 else ()

    def refuse(self, status: int, detail: str) -> None:
        """Answer with an error, and close the connection."""
        answer: Answer = refusal(status, detail)
        if self._transport is None or self.phase == LINGERING:
            return
        if self.phase >= ANSWER:  # the answer to an earlier request is under way
            self._closes = True
            return
        self._process.refused(self, status)
        self._transport.write(head(answer[0], answer[1], "Connection: close") + answer[2])
        self._transport.write_eof()
        self._forget_requests()
        self.phase = LINGERING
        self.deadline = self._process.now() + LINGER_SECONDS

    def expire(self) -> None:
        """End the connection, whose deadline is over; its client gets 408 where it has begun a request."""
        if self.phase == HEAD:
            self.refuse(408, "The headers of the request did not come in time.")
        elif self.phase == BODY:
            self.refuse(408, "The body of the request did not come in time.")
        elif self.phase == IDLE:
            self.close()
        elif not self._takes_bytes():
            self.abort()

    def evict(self) -> None:
        """End the connection, because others need its place."""
        if self.phase == IDLE:
            self.close()
        else:
            self.refuse(503, "The server has too many connections. Send the request again in a second.")

    def _takes_bytes(self) -> bool:
        """Whether the client has taken enough of an answer since this was asked last; then it may go on."""
        unsent, seconds = self._transport.get_write_buffer_size(), self._process.limits.send_seconds
        takes_bytes: bool = 0 < unsent <= self._unsent - seconds * SLOWEST_BYTES_PER_SECOND
        self._unsent = unsent
        self.deadline = self._process.now() + seconds
        return takes_bytes

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        if self._transport is not None:
            self.phase = LINGERING
            self._unsent = self._transport.get_write_buffer_size()
            self.deadline = self._process.now() + self._process.limits.send_seconds
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()


def _has_length(headers: Headers) -> bool:
    return any(name.lower() == "content-length" for name, _ in headers)
