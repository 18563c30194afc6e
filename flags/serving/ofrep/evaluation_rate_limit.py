"""The rate limit of evaluations: how many requests a caller may send in a minute to one process."""

from __future__ import annotations

from time import monotonic

from flags.serving.ofrep.protocol import EvaluationRefused
from orgs.access.caller import Caller

SECONDS = 60
MOST_CALLERS = 1_000
"""Where there are more callers, those are dropped whose minute is over."""


class EvaluationRateLimit:
    """Counts requests in fixed windows of a minute, which begins with the caller's first request.

    It is counted in memory and without a lock: a count that two threads make at once may be lost.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._windows: dict[str, list[float]] = {}
        """By the caller's name: when the minute ends, and how many requests there were."""

    def spend(self, caller: Caller) -> None:
        """Count a request. Raises EvaluationRefused where it is one too many."""
        now = monotonic()
        window = self._windows.get(caller.name)
        if window is None or window[0] < now:
            if len(self._windows) >= MOST_CALLERS:
                self._windows = {name: one for name, one in list(self._windows.items()) if one[0] >= now}
            window = self._windows[caller.name] = [now + SECONDS, 0]
        window[1] += 1
        if window[1] > self.most:
            wait = str(max(1, round(window[0] - now)))
            raise EvaluationRefused(429, None, "Too many evaluations in a minute.", ("Retry-After", wait))
