"""Counting HTTP requests in this process, or together with its siblings (`flagsite.metrics.multiprocess_folder`).

To write one request into the files that siblings share takes as long as an answer from memory. So requests are noted
here and written many at a time: when there are MANY, every second, when this process is scraped, and at its end.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import defaultdict, deque

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from flagsite.core.adapters.prometheus import BatchHistogram
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
_started = False


def count(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the pattern of the address, of which there are few, never the address itself."""
    _noted.append(((method, route, status), seconds))
    if not _started:
        _start()
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


def _start() -> None:
    """Begin to write every second, once in each process."""
    global _started  # noqa: PLW0603 - one thread for each process
    with _writing:
        if _started:
            return
        _started = True
    atexit.register(write)
    threading.Thread(target=_write_for_ever, name="request-counts", daemon=True).start()


def _write_for_ever() -> None:
    while True:
        time.sleep(EVERY_SECONDS)
        try:
            write()
        except Exception:
            log.exception("request_counts_failed")


def _begin_anew() -> None:
    """A forked child has none of its parent's threads, and what the parent noted is the parent's to write."""
    global _started, _writing
    _noted.clear()
    _started, _writing = False, threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
