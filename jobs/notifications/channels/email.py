"""E-mail, by the SMTP server or the provider of EMAIL_URL."""

from __future__ import annotations

import smtplib
from contextlib import suppress
from email.utils import parseaddr

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email

from jobs.errors import InvalidSubscription
from jobs.notifications.message import Message, NotDelivered

NOT_PRINTABLE = "The address has a control character."
FIRST_PERMANENT = 500
"""SMTP: an answer from 500 on says that another attempt cannot help; 4xx asks for another attempt."""


def is_set() -> bool:
    """Return whether messages leave."""
    return bool(settings.EMAIL.is_set)


def checked(target: str) -> str:
    """Return the address. Raises InvalidSubscription.

    Django allows control characters in a quoted address. Some of them would end the line of a header of the message.
    """
    if not target.isprintable():
        raise InvalidSubscription(NOT_PRINTABLE)
    try:
        validate_email(target)
    except ValidationError:
        raise InvalidSubscription("The address is not a valid e-mail address.") from None
    return target


def shown(target: str) -> str:
    """Return the address, because people need it whole."""
    return target


def send(message: Message) -> str:
    """Send the message, and return what the server or the provider answered. Raises NotDelivered."""
    if not message.target.isprintable():
        raise NotDelivered(NOT_PRINTABLE, is_permanent=True)
    mail = EmailMessage(
        " ".join(message.subject.split()),
        message.text,
        to=[message.target],
        headers={"Message-ID": message_id(message.id), "Auto-Submitted": "auto-generated"},
    )
    connection = get_connection()
    try:
        connection.open()
        connection.send_messages([mail])
        return _answer(connection, mail)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(*next(iter(error.recipients.values()))) from None
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from None
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"The connection to the mail server failed ({type(error).__name__}).") from None
    except Exception as error:  # noqa: BLE001 - whatever the library of a provider raises
        status = getattr(error, "status_code", None) or 0
        raise NotDelivered(
            f"The provider did not take the message ({type(error).__name__} {status or ''}).",
            is_permanent=400 <= status < 500 and status != 429,  # noqa: PLR2004 - statuses of HTTP
        ) from None
    finally:
        with suppress(Exception):  # the server has answered already; how it says goodbye does not count
            connection.close()


def message_id(delivery_id: str) -> str:
    """Return the Message-ID of a delivery."""
    return f"<{delivery_id}@{parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition('@')[2]}>"


def _answer(connection: object, mail: EmailMessage) -> str:
    """Return the server's answer to the message, or the id of the provider."""
    provider = getattr(mail, "anymail_status", None)
    if provider is not None:
        return str(provider.message_id or "")
    return str(getattr(getattr(connection, "connection", None), "last_reply", ""))


def _refused(code: int, reply: bytes | str) -> NotDelivered:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return NotDelivered(f"The mail server answered {code} {text}".strip(), is_permanent=code >= FIRST_PERMANENT)
