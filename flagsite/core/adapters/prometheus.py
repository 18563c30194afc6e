"""prometheus-client: a histogram that takes many observations at the price of one.

Why: web processes of one server share their counts in files, and one `observe` writes to them as long as an answer
from memory takes. The library has no way to observe many values at once.

Private names: `Histogram._sum`, `Histogram._buckets` and `Histogram._upper_bounds`.

At an upgrade check: `Histogram.observe` adds the value to `_sum`, and 1 to the one bucket whose upper bound is the
first that is not smaller than the value. Buckets are not cumulative before they are collected.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from prometheus_client import Histogram

DISTRIBUTION = "prometheus-client"
CHECKED_VERSION = "0.26.0"


class BatchHistogram(Histogram):
    """A histogram with `observe_all` beside `observe`."""

    def observe_all(self, values: Iterable[float]) -> None:
        """Count all values, as `observe` would one by one."""
        ordered = list(values)
        self._sum.inc(sum(ordered))
        ordered.sort()
        below = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            up_to = bisect_right(ordered, bound)
            if up_to > below:
                bucket.inc(up_to - below)
            below = up_to
