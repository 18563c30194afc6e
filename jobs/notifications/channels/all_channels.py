"""All channels by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobs.notifications.channels import email, push, service, webhook
from jobs.notifications.message import Message
from jobs.notifications.models import Channel


@dataclass(frozen=True, slots=True)
class Way:
    """A channel: whether messages leave, the check of an address, its visible part, the sending, and its settings."""

    is_set: Callable[[], bool]
    checked: Callable[[str], str]
    shown: Callable[[str], str]
    send: Callable[[Message], str]
    setting: str


WAYS = {
    Channel.EMAIL: Way(email.is_set, email.checked, email.shown, email.send, "EMAIL_URL"),
    Channel.WEBHOOK: Way(webhook.is_set, webhook.checked, webhook.shown, webhook.send, "SEND_WEBHOOKS"),
    Channel.PUSH: Way(push.is_set, push.checked, push.shown, push.send, "VAPID_KEYS"),
    Channel.SMS: Way(service.sms_is_set, service.checked_number, service.shown, service.send_sms, "APPRISE_URLS"),
    Channel.CHAT: Way(service.chat_is_set, service.checked_chat, service.shown, service.send_chat, "APPRISE_URLS"),
}


def way(channel: str) -> Way:
    """Return the channel with this name."""
    return WAYS[Channel(channel)]
