"""The lanes of a web process: requests of one lane never wait for a thread that requests of another lane hold."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flagsite.web_server.connection import Connection
from flagsite.web_server.heads import Environ


@dataclass(frozen=True, slots=True)
class Lane:
    """A kind of requests that has threads of its own."""

    name: str
    queued_seconds: float = 30.0
    """How long a request may wait for a thread; then it gets 503."""


ONLY_LANE = Lane("requests")
"""The lane of all requests, for an application that names no lanes."""


class HasLanes(Protocol):
    """An application that divides its requests into lanes."""

    lanes: tuple[Lane, ...]

    def lane_of(self, environ: Environ) -> Lane:
        """The lane of a request; the event loop calls this, so it must not wait."""


class WaitingRequest(NamedTuple):
    """A request that waits for a thread since the monotonic time `came_at`."""

    came_at: float
    connection: Connection
    environ: Environ


class WaitingRequests:
    """The requests of one lane that wait for a thread, the oldest first; any thread may use this."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[WaitingRequest] = deque()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, request: WaitingRequest) -> None:
        """Let the request wait for the next free thread."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify()

    def next(self) -> WaitingRequest | None:
        """Wait for a request and take it; None after `close`, when no request waits any more."""
        with self._changed:
            while not self._requests:
                if self._is_closed:
                    return None
                self._changed.wait()
            return self._requests.popleft()

    def take_older_than(self, moment: float) -> list[WaitingRequest]:
        """Take the requests that came before this moment, so that no thread gets them."""
        taken = []
        with self._changed:
            while self._requests and self._requests[0].came_at < moment:
                taken.append(self._requests.popleft())
        return taken

    def close(self) -> None:
        """Let the threads end when no request waits any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


Refused = Callable[[Connection, int], None]
"""What the web process is told of a request that it has refused, and with which status."""
