"""The counts of this process, or shared with its siblings (`flagsite.metrics.multiprocess_folder`).

They are the HTTP requests, the further attempts of decorated functions (`flagsite.core.retry`), and the time in which
the process did not hear of changes.

Writing one request into the shared files takes as long as a whole evaluation. So a process collects its requests and
writes them together: when BATCH_SIZE requests are pending, every second, when it is scraped, and when it exits.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque

import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector

from flags.serving import process_cache
from flagsite.core.adapters.prometheus import BatchHistogram
from flagsite.core.background import BackgroundService
from flagsite.core.retry import decorators
from flagsite.metrics.multiprocess_folder import VARIABLE

log = structlog.get_logger(__name__)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BATCH_SIZE = 500
WRITE_INTERVAL_SECONDS = 1.0


_own = CollectorRegistry()
_seconds = BatchHistogram(
    "flagsite_http_request_seconds",
    "Answered HTTP requests and their duration in seconds.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=_own,
)
_unheard = Counter(
    "flagsite_unheard_seconds",
    "Seconds in which web processes did not hear of changes, and read evaluations from the database.",
    registry=_own,
)
_retries = Counter(
    "flagsite_call_retries",
    "Further attempts of decorated functions in web processes, by function and class of the exception.",
    ["function", "error"],
    registry=_own,
)
decorators.retry_listeners.append(lambda function, error: _retries.labels(function, error).inc())
_pending: deque[tuple[tuple[str, str, int], float]] = deque()
"""Requests that are not written yet: (method, route, status) and seconds. The methods of a deque are thread-safe."""
_writing = threading.Lock()


def count(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. `route` is the pattern of the path and not the path itself, so that there are few routes."""
    _pending.append(((method, route, status), seconds))
    if not _writer.is_started:
        _writer.start()
    if len(_pending) >= BATCH_SIZE:
        write()


def write() -> None:
    """Write all pending requests, and the time since the last call in which this process did not hear of changes."""
    with _writing:
        _unheard.inc(process_cache.unheard_seconds())
        by_labels = defaultdict(list)
        for labels, seconds in [_pending.popleft() for _ in range(len(_pending))]:
            by_labels[labels].append(seconds)
        for (method, route, status), durations in by_labels.items():
            method_label = method if method in METHODS else "other"
            _seconds.labels(method_label, route, str(status)).observe_all(durations)


def registry() -> CollectorRegistry:
    """Return the counts of this process, or those of all siblings (at most a second old) if they are shared."""
    write()
    if not os.environ.get(VARIABLE):
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)
    return shared


class RequestCountWriter(BackgroundService):
    """Writes the pending requests of this process every second and when it exits."""

    def __init__(self) -> None:
        super().__init__("request-counts", last_turn_at_exit=True)

    def turn(self) -> None:
        """Write all pending requests."""
        write()

    def pause(self) -> float:
        """Return WRITE_INTERVAL_SECONDS."""
        return WRITE_INTERVAL_SECONDS

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("request_counts_failed", exc_info=error)

    def on_fork(self) -> None:
        """Forget the pending requests of the parent, because the parent writes them."""
        global _writing  # noqa: PLW0603 - a thread of the parent may hold the parent's lock
        _pending.clear()
        _writing = threading.Lock()


_writer = RequestCountWriter()
