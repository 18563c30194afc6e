"""How long a failed job waits before its next attempt."""

from __future__ import annotations

import random
from datetime import timedelta

LONGEST = timedelta(hours=1)


def delay(attempt: int, *, base: float = 2.0, jitter: float = 0.0) -> timedelta:
    """The wait before retry number `attempt` (1, 2, 3 …) of a round: base ** attempt seconds, at most an hour.

    `jitter` is the share by which the wait may grow at random: 0.2 makes 8 s anything from 8 to 9.6 s.
    """
    exponent = min(attempt, 64)
    seconds = min(base**exponent, LONGEST.total_seconds())
    return timedelta(seconds=seconds * (1 + random.random() * jitter))
