"""The log of what has changed, which views catch up with when they are read next.

To take in a message costs the same whatever the tree's size, and a view that nobody reads costs nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile

from flags.evaluation import State

KEPT = 10_000
"""Changes that are remembered; a view that has missed more than half of them is read from the database."""


@dataclass(frozen=True, slots=True)
class Written:
    """One flag's new value for the organizations at and below `root_id` with `after` < id <= `last`."""

    root_id: int
    after: int
    last: int
    state: State


@dataclass(frozen=True, slots=True)
class Moved:
    """An organization has another parent or another key, or is gone: what is known of it and all below it is void."""

    organization_id: int


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """The access key that begins so was revoked, changed or deleted."""

    prefix: str


Entry = Written | Moved


class Feed:
    """The last KEPT changes, numbered. `position` is the number of the latest; one thread appends, many read."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, Entry]] = deque(maxlen=KEPT)
        self.position = 0

    def append(self, entry: Entry) -> None:
        """Take in a change."""
        number = self.position + 1
        self._entries.append((number, entry))
        self.position = number  # who looks in between gets the entry already, by its number

    def since(self, position: int) -> list[tuple[int, Entry]] | None:
        """What came after this position, oldest first, each with its number; None when some of it is forgotten."""
        if self.position - position > KEPT // 2:  # the rest is room for what is appended while this reads
            return None
        while True:
            try:
                return list(takewhile(lambda entry: entry[0] > position, reversed(self._entries)))[::-1]
            except RuntimeError:  # appended to while it was read
                continue
