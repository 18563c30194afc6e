"""Real servers on this machine that receive messages, and settings that send to them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.test import override_settings

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass
class MailServer:
    """A handler of aiosmtpd. `answers` has the replies to the next messages; after these, all are accepted."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refused_recipients: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    on_message: Callable[[int], Any] | None = None
    """Called with the number of messages after each message, before the server says that it has it."""
    drop_next: bool = False
    """Whether the server closes the connection in the middle of the next message."""
    most_of_connection: int = 1_000
    """How many messages the server takes from one connection."""
    sessions: dict[Session, list[str]] = field(default_factory=dict)
    """The senders of the messages of each connection."""
    servers: list[SMTP] = field(default_factory=list)
    said_goodbye: threading.Event = field(default_factory=threading.Event)

    @property
    def connections(self) -> int:
        """How many connections wanted to send a message."""
        return len(self.sessions)

    def close_connections(self) -> None:
        """Let the server end all connections."""
        for server in self.servers:
            assert server.transport is not None
            server.loop.call_soon_threadsafe(server.transport.abort)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        senders = self.sessions.setdefault(session, [])
        self.servers.append(server)
        if len(senders) >= self.most_of_connection:
            return "421 4.7.0 too many messages"
        senders.append(address)
        envelope.mail_from = address
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.said_goodbye.set()
        return "221 Bye"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused_recipients:
            return self.refused_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.drop_next:
            self.drop_next = False
            assert server.transport is not None
            server.transport.abort()
            return "421 gone"
        answer = self.answers.pop(0) if self.answers else f"250 OK queued as {len(self.messages) + 1}"
        if answer.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content or b""))
            self.recipients += envelope.rcpt_tos
            if self.on_message is not None:
                self.on_message(len(self.messages))
        return answer


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A running SMTP server, to which Flagsite sends its e-mail."""
    server = MailServer(port=free_port())
    controller = Controller(server, hostname=LOOPBACK, port=server.port)
    controller.start()
    backend = "jobs.notifications.smtp.EmailBackend"
    email = replace(settings.EMAIL, backend=backend, host=LOOPBACK, port=server.port, sender="flags@example.com")
    try:
        with override_settings(
            EMAIL=email,
            EMAIL_BACKEND=email.backend,
            EMAIL_HOST=email.host,
            EMAIL_PORT=email.port,
            DEFAULT_FROM_EMAIL=email.sender,
        ):
            yield server
    finally:
        controller.stop()


@dataclass
class Received:
    """A request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server that keeps each request. `answers` has the statuses of the next answers; after these, 200."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer_body: bytes = b'{"ok": true}'
    on_request: Callable[[Received], Any] | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@contextmanager
def http_receiver(*, allowed: bool = True) -> Iterator[Receiver]:
    """A running HTTP server. Flagsite may send to it (OUTGOING_ALLOWED), unless `allowed` is false."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.path, headers, self.rfile.read(length))
            receiver.requests.append(request)
            if receiver.on_request is not None:
                receiver.on_request(request)
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.answer_body)

        def log_message(self, *args: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with override_settings(SEND_WEBHOOKS=True, OUTGOING_ALLOWED=[LOOPBACK] if allowed else []):
            yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
