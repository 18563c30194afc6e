"""SMS and chat, by the services of APPRISE_URLS. Only the operator names a service; users name a number or a chat."""

from __future__ import annotations

import re
from urllib.parse import quote

from django.conf import settings

from jobs.errors import InvalidSubscription
from jobs.notifications.message import Message, NotDelivered

SMS = "sms"
"""The name of the service for SMS."""
RECIPIENT = "{to}"
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
SECONDS = 30


def sms_is_set() -> bool:
    """Return whether SMS leave."""
    return SMS in settings.APPRISE_URLS


def chat_is_set() -> bool:
    """Return whether there is a chat."""
    return bool(chats())


def chats() -> list[str]:
    """Return the names of the chats."""
    return sorted(set(settings.APPRISE_URLS) - {SMS})


def checked_number(target: str) -> str:
    """Return the telephone number. Raises InvalidSubscription."""
    if not NUMBER.fullmatch(target):
        raise InvalidSubscription("The telephone number must have the form +4712345678.")
    return target


def checked_chat(target: str) -> str:
    """Return the name of the chat. Raises InvalidSubscription."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", target) or (chats() and target not in chats()):
        raise InvalidSubscription(f"There is no chat {target!r}. APPRISE_URLS has: {', '.join(chats()) or 'none'}.")
    return target


def shown(target: str) -> str:
    """Return the number or the name, because people need it whole."""
    return target


def send_sms(message: Message) -> str:
    """Send an SMS. Raises NotDelivered."""
    return _send(settings.APPRISE_URLS[SMS].replace(RECIPIENT, quote(message.target, safe="")), message)


def send_chat(message: Message) -> str:
    """Send a message to a chat. Raises NotDelivered."""
    url = settings.APPRISE_URLS.get(message.target)
    if url is None:
        raise NotDelivered(f"There is no chat {message.target!r} in APPRISE_URLS.", is_permanent=True)
    return _send(url, message)


def _send(url: str, message: Message) -> str:
    """Send by one service, so that the result is that of this message alone."""
    from apprise import Apprise, AppriseResultStatus  # noqa: PLC0415 - slow to import, and rarely needed

    service = Apprise()
    service.add(url)
    try:
        result = service.notify(title=message.subject, body=message.text, timeout=SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever one of 180 services raises; its words may have secrets
        raise NotDelivered(f"The service failed ({type(error).__name__}).") from None
    if result.status != AppriseResultStatus.SUCCESS:
        raise NotDelivered(f"The service did not take the message ({result.status.name}).")
    return str(result.status.name)
