"""Web push: encrypted messages to browsers (RFC 8030, 8291), signed with VAPID_KEYS (RFC 8292)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from py_vapid import Vapid02

from flagsite.core import outgoing_http
from flagsite.core.outgoing_http import AddressRefused, NoAnswer
from jobs.errors import InvalidSubscription
from jobs.notifications import digest
from jobs.notifications.message import Message, NotDelivered, shortened

MAX_BODY_BYTES = 4096
"""Push services refuse more."""
OVERHEAD_BYTES = 86 + 17
"""The header of the encrypted content, the padding and the tag."""
VALID_SECONDS = 12 * 3600
"""How long the signature of one attempt is valid."""
KEPT_SECONDS = 4 * 7 * 86_400
"""How long the push service keeps a message for a browser that is closed."""
GONE = (404, 410)
SUCCESS = range(200, 300)
TOO_LARGE = 413


def is_set() -> bool:
    """Return whether messages leave."""
    return bool(settings.VAPID_PRIVATE_KEY)


def public_key() -> str:
    """Return the key that a browser needs to subscribe (`applicationServerKey`); empty without VAPID_KEYS."""
    if not is_set():
        return ""
    return _base64url(_raw(Vapid02.from_string(settings.VAPID_PRIVATE_KEY).public_key))


def checked(target: str) -> str:
    """Return the subscription that the browser gave, as JSON. Raises InvalidSubscription."""
    try:
        given = json.loads(target)
        endpoint, keys = given["endpoint"], given["keys"]
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _bytes(keys["p256dh"]))
        is_valid = isinstance(endpoint, str) and len(_bytes(keys["auth"])) == 16  # noqa: PLR2004 - RFC 8291
    except (ValueError, KeyError, TypeError, RecursionError):
        is_valid = False
    if not is_valid:
        raise InvalidSubscription(
            "The address of web push is the JSON of the browser's PushSubscription, with endpoint, keys.p256dh and "
            "keys.auth."
        )
    try:
        outgoing_http.check_new_url(endpoint)
    except AddressRefused as error:
        raise InvalidSubscription(error.detail) from None
    return json.dumps({"endpoint": endpoint, "keys": {name: keys[name] for name in ("p256dh", "auth")}})


def shown(target: str) -> str:
    """Return the name of the push service."""
    return f"a browser at {urlsplit(json.loads(target)['endpoint']).hostname}"


def send(message: Message) -> str:
    """Send the message, and return its address at the push service. Raises NotDelivered."""
    given = json.loads(message.target)
    endpoint = given["endpoint"]
    parts = urlsplit(endpoint)
    claims = {
        "sub": settings.VAPID_SUBJECT,
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + VALID_SECONDS,
    }
    headers = {
        **Vapid02.from_string(settings.VAPID_PRIVATE_KEY).sign(claims),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(KEPT_SECONDS),
        "Topic": _topic(message.id),  # a second message with the same id replaces the first one
    }
    try:
        answer = outgoing_http.post(endpoint, _encrypted(content(message), given["keys"]), headers)
    except (AddressRefused, NoAnswer) as error:
        raise NotDelivered(error.detail) from None
    if answer.status not in SUCCESS:
        raise NotDelivered(
            f"The push service answered {answer.status}.",
            is_permanent=answer.status in (400, 401, 403, TOO_LARGE),
            is_gone=answer.status in GONE,
        )
    return answer.headers.get("Location", str(answer.status))


def content(message: Message) -> bytes:
    """Return what the browser gets, short enough for one push message."""
    most = MAX_BODY_BYTES - OVERHEAD_BYTES
    body = digest.words(message.events, with_addresses=False)[1] if message.events else message.text
    parts = {"id": message.id, "title": shortened(message.subject, 300), "body": body, "url": message.url}

    def written(characters: int) -> bytes:
        text = parts["body"] if characters >= len(parts["body"]) else f"{parts['body'][:characters]}…"
        return json.dumps({**parts, "body": text}, ensure_ascii=False).encode()

    fits, too_many = 0, min(len(body), most) + 1
    while too_many - fits > 1:  # JSON writes some characters longer than they are, so their number is searched for
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if len(written(middle)) <= most else (fits, middle)
    return written(fits)


def _encrypted(body: bytes, keys: dict[str, str]) -> bytes:
    encrypted: bytes = http_ece.encrypt(
        body,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=_bytes(keys["p256dh"]),
        auth_secret=_bytes(keys["auth"]),
        version="aes128gcm",
    )
    return encrypted


def _topic(message_id: str) -> str:
    return message_id[-32:]


def _raw(key: Any) -> bytes:
    raw: bytes = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return raw


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
