"""prometheus-client: a histogram that adds many observations in one step.

Why: the web processes of one server share their counts in files. One `observe` writes to these files, which takes as
long as an answer from the evaluation cache. The library has no method that observes many values at once.

Private names: `Histogram._sum`, `Histogram._buckets` and `Histogram._upper_bounds`.

At an upgrade check: `Histogram.observe` adds the value to `_sum`, and adds 1 to the first bucket whose upper bound
is not smaller than the value. Buckets become cumulative only when they are collected.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from prometheus_client import Histogram

DISTRIBUTION = "prometheus-client"
CHECKED_VERSION = "0.26.0"


class BatchHistogram(Histogram):
    """A histogram with the additional method `observe_all`."""

    def observe_all(self, values: Iterable[float]) -> None:
        """Observe all values; the result is the same as of one `observe` for each value."""
        ordered = list(values)
        self._sum.inc(sum(ordered))
        ordered.sort()
        below = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            up_to = bisect_right(ordered, bound)
            if up_to > below:
                bucket.inc(up_to - below)
            below = up_to
