"""The message of a delivery, and how its sending can end. The channels know nothing more of a delivery."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flagsite.core.storable_text import storable


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel sends. Each attempt has the same `id`, so that a receiver can recognize a double."""

    id: str
    target: str
    subject: str
    text: str
    secrets: tuple[str, ...] = ()
    """The secrets of a webhook's signatures: the present one, and after a rotation the former one for a while."""
    url: str
    """The whole address of the page about it."""
    created_at: datetime
    events: dict[str, Any] = field(default_factory=dict)


class NotDelivered(Exception):
    """An attempt to send a message failed.

    Args:
        error: what went wrong, in words without secrets.
        is_permanent: whether another attempt cannot help.
        is_gone: whether the receiver says that the address does not exist any more.
    """

    def __init__(self, error: str, *, is_permanent: bool = False, is_gone: bool = False) -> None:
        super().__init__(error)
        self.error = storable(error)
        self.is_permanent = is_permanent or is_gone
        self.is_gone = is_gone


def shortened(text: str, most: int) -> str:
    """Return the text with at most so many bytes in UTF-8."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode("utf-8", "ignore") + "…"
