"""Counting HTTP requests in this process, or together with its siblings (`flagsite.metrics.multiprocess_folder`).

To write one request into the files that siblings share takes as long as an answer from memory. So requests are noted
here and written many at a time: when there are MANY, every second, when this process is scraped, and at its end.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from flagsite.core.adapters.prometheus import BatchHistogram
from flagsite.core.background import BackgroundService
from flagsite.metrics.multiprocess_folder import VARIABLE

log = structlog.get_logger(__name__)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MANY = 500
EVERY_SECONDS = 1.0


_own = CollectorRegistry()
_seconds = BatchHistogram(
    "flagsite_http_request_seconds",
    "HTTP requests that were answered, with how long that took.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=_own,
)
_noted: deque[tuple[tuple[str, str, int], float]] = deque()
"""What is not written yet: method, route and status; seconds. Its own steps cannot lose one to another thread."""
_writing = threading.Lock()


def count(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the pattern of the address, of which there are few, never the address itself."""
    _noted.append(((method, route, status), seconds))
    if not _writer.is_started:
        _writer.start()
    if len(_noted) >= MANY:
        write()


def write() -> None:
    """Write what was noted until now."""
    with _writing:
        by_labels = defaultdict(list)
        for labels, seconds in [_noted.popleft() for _ in range(len(_noted))]:
            by_labels[labels].append(seconds)
        for (method, route, status), together in by_labels.items():
            known = method if method in METHODS else "other"
            _seconds.labels(known, route, str(status)).observe_all(together)


def registry() -> CollectorRegistry:
    """What has been counted: of all siblings where they count together, of those up to a second ago."""
    write()
    if not os.environ.get(VARIABLE):
        return _own
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return together


class RequestCountWriter(BackgroundService):
    """Writes what this process has noted every second, and at its exit."""

    def __init__(self) -> None:
        super().__init__("request-counts", last_turn_at_exit=True)

    def turn(self) -> None:
        """Write what was noted until now."""
        write()

    def pause(self) -> float:
        """Return EVERY_SECONDS."""
        return EVERY_SECONDS

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("request_counts_failed", exc_info=error)

    def on_fork(self) -> None:
        """Forget what the parent noted: the parent writes it."""
        global _writing  # noqa: PLW0603 - the parent's lock may be held by one of its threads
        _noted.clear()
        _writing = threading.Lock()


_writer = RequestCountWriter()
