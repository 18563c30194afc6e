"""Counting HTTP requests in this process, or together with its siblings (`flagsite.metrics.folder`)."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from flagsite.metrics.folder import VARIABLE

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_own = CollectorRegistry()
_seconds = Histogram(
    "flagsite_http_request_seconds",
    "HTTP requests that were answered, with how long that took.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=_own,
)


_known: dict[tuple[str, str, int], Histogram] = {}
"""By method, route and status, since finding a counter by its labels takes as long as counting."""


def count(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the pattern of the address, of which there are few, never the address itself."""
    counter = _known.get((method, route, status))
    if counter is None:
        method = method if method in METHODS else "other"
        counter = _known[method, route, status] = _seconds.labels(method, route, str(status))
    counter.observe(seconds)


def registry() -> CollectorRegistry:
    """What has been counted: of all siblings where they count together."""
    if not os.environ.get(VARIABLE):
        return _own
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return together
