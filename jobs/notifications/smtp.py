"""Django's SMTP backend, which also keeps the server's answer to a message: it often names the server's own id.

A backend takes the connection that the process has kept from its last message, and gives it back after its own.
"""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend

from jobs.notifications.kept_connection import KeptConnection

MOST_MESSAGES = 50
"""How many messages one connection carries. Many servers allow no more than a hundred."""
kept = KeptConnection()


class _Client(smtplib.SMTP):
    """A client that keeps the last answer to a message, and knows whether another message may follow."""

    last_reply: str = ""
    sent_messages: int = 0
    is_clean: bool = False
    """Whether the server has accepted the last message."""
    has_sent_content: bool = False
    """Whether the server may know the content of the current message."""

    def sendmail(self, *arguments: Any, **options: Any) -> dict[str, tuple[int, bytes]]:
        self.is_clean = self.has_sent_content = False
        refused = super().sendmail(*arguments, **options)
        self.is_clean = True
        self.sent_messages += 1
        return refused

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.has_sent_content = True
        code, reply = super().data(msg)
        self.last_reply = reply.decode("utf-8", "replace")
        return code, reply


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same over TLS."""


class EmailBackend(SmtpBackend):
    """The backend that EMAIL_URL stands for."""

    connection: Any
    _has_kept_connection = False

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _TlsClient if self.use_ssl else _Client

    def open(self) -> bool | None:
        """Open a connection, or take the one of the message before. Returns whether there was none."""
        if self.connection is None:
            self.connection = kept.take(self._key)
            self._has_kept_connection = self.connection is not None
            if self._has_kept_connection:
                return True
        return super().open()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send the messages. If the server ends a kept connection before it knows the content, use a new one."""
        try:
            return super().send_messages(email_messages)
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPSenderRefused):
            if not self._may_send_again or len(email_messages) > 1:
                raise
        with suppress(smtplib.SMTPException, OSError):
            super().close()
        self.connection, self._has_kept_connection = None, False
        super().open()
        return super().send_messages(email_messages)

    def close(self) -> None:
        """Keep the connection for the next message of this process, if the server has accepted the last one."""
        client = self.connection
        if client is not None and client.is_clean and client.sent_messages < MOST_MESSAGES:
            self.connection = None
            kept.keep(self._key, client)
        super().close()

    @property
    def _may_send_again(self) -> bool:
        """Whether the connection was kept, and the server has ended it before it knew the content."""
        return self._has_kept_connection and self.connection is not None and not self.connection.has_sent_content

    @property
    def _key(self) -> object:
        return self.host, self.port, self.username, self.password, self.use_tls, self.use_ssl
