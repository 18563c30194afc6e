"""The change log: the last change notifications, with which organization snapshots catch up when they are read next.

To add a notification costs the same whatever the size of the tree, and a snapshot that nobody reads costs nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

from flags.serving.cache_events import AttributeChanged, OrganizationMoved, StatesRewritten, StatesWritten

KEPT = 10_000
"""Events that are kept; a snapshot that has missed more than half of them is read from the database."""
LoggedEvent = StatesWritten | StatesRewritten | OrganizationMoved | AttributeChanged


class ChangeLog:
    """The last KEPT events, numbered. `position` is the number of the latest; one thread appends, many read."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, LoggedEvent]] = deque(maxlen=KEPT)
        self.position = 0

    def append(self, event: LoggedEvent) -> None:
        """Add an event."""
        number = self.position + 1
        self._events.append((number, event))
        self.position = number  # a thread that reads in between gets the event already, with its number

    def since(self, position: int) -> list[tuple[int, LoggedEvent]] | None:
        """The events after this position with their numbers, oldest first; None when some are no longer kept."""
        if self.position - position > KEPT // 2:  # the rest is room for what is appended while this reads
            return None
        while True:
            try:
                return list(takewhile(lambda event: event[0] > position, reversed(self._events)))[::-1]
            except RuntimeError:  # an event was appended meanwhile
                continue
