"""Webhooks, signed as standardwebhooks.com describes."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from standardwebhooks import Webhook

from flagsite.core import outgoing_http
from flagsite.core.outgoing_http import AddressRefused, NoAnswer
from jobs.errors import InvalidSubscription
from jobs.notifications.message import Message, NotDelivered

RETRY_WAITS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The schedule that Standard Webhooks publishes: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h."""
GONE = 410
SUCCESS = range(200, 300)


def is_set() -> bool:
    """Return whether messages leave."""
    return bool(settings.SEND_WEBHOOKS)


def checked(target: str) -> str:
    """Return the URL. Raises InvalidSubscription."""
    try:
        outgoing_http.check_new_url(target)
    except AddressRefused as error:
        raise InvalidSubscription(error.detail) from None
    return target


def shown(target: str) -> str:
    """Return scheme and host, because the rest of a URL is often a secret."""
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}/…"


def new_secret() -> str:
    """Return a new secret for signatures."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def send(message: Message) -> str:
    """Send the message, and return the receiver's answer. Raises NotDelivered."""
    body = json.dumps(payload(message))
    now = datetime.now(tz=UTC)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Flagsite",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message.id, now, body) for secret in message.secrets),
    }
    try:
        answer = outgoing_http.post(message.target, body.encode(), headers)
    except (AddressRefused, NoAnswer) as error:
        raise NotDelivered(error.detail) from None
    if answer.status not in SUCCESS:
        raise NotDelivered(f"The receiver answered {answer.status}.", is_gone=answer.status == GONE)
    return f"{answer.status} {answer.body[:200]}".strip()


def payload(message: Message) -> dict[str, Any]:
    """Return the body of a webhook."""
    counts = message.events.get("counts", {})
    return {
        "type": next(iter(counts)) if len(counts) == 1 else "digest" if counts else "message",
        "timestamp": message.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "subject": message.subject,
            "text": message.text,
            "url": message.url,
            "count": sum(counts.values()),
            "counts": counts,
            "events": message.events.get("first", []),
        },
    }
