"""The log of what has changed, which views catch up with when they are read next.

To take in a message costs the same whatever the tree's size, and a view that nobody reads costs nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

from flags.serving.cache_events import OrganizationMoved, StatesWritten

KEPT = 10_000
"""Changes that are remembered; a view that has missed more than half of them is read from the database."""


Entry = StatesWritten | OrganizationMoved


class ChangeLog:
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
