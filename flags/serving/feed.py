"""The log of what has changed, which views catch up with when they are read next.

To take in a message costs the same whatever the tree's size, and a view that nobody reads costs nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

from flags.evaluation import State

KEPT = 10_000
"""Changes that are remembered; a view that has missed more is read from the database."""


@dataclass(frozen=True, slots=True)
class Written:
    """One flag's new value for the organizations at and below `root_id` with `after` < id <= `last`."""

    root_id: int
    after: int
    last: int
    state: State


@dataclass(frozen=True, slots=True)
class Moved:
    """An organization has another parent or another key: whatever is known of it and of all below it is void."""

    organization_id: int


Entry = Written | Moved


class Feed:
    """The last KEPT changes. `position` counts all that ever came; one thread appends, many read."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self.position = 0

    def append(self, entry: Entry) -> None:
        """Take in a change."""
        self._entries.append(entry)
        self.position += 1

    def since(self, position: int) -> list[Entry] | None:
        """What came after this position, oldest first; None when some of it is forgotten.

        A change that is appended meanwhile may come along; it will be seen once more, which does no harm.
        """
        missed = self.position - position
        if missed > KEPT // 2:  # the rest is room for what is appended while this reads
            return None
        while True:
            try:
                return list(islice(reversed(self._entries), missed))[::-1]
            except RuntimeError:  # appended to while it was read
                missed = self.position - position
