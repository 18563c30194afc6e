"""Django's SMTP backend, which also keeps the server's answer to a message: it often names the server's own id."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail.backends.smtp import EmailBackend as SmtpBackend


class _Client(smtplib.SMTP):
    """A client that keeps the last answer to a message."""

    last_reply: str = ""

    def data(self, msg: Any) -> tuple[int, bytes]:
        code, reply = super().data(msg)
        self.last_reply = reply.decode("utf-8", "replace")
        return code, reply


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same over TLS."""


class EmailBackend(SmtpBackend):
    """The backend that EMAIL_URL stands for."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _TlsClient if self.use_ssl else _Client
