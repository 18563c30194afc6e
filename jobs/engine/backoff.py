"""Compute how long an automatic retry waits before it starts."""

from __future__ import annotations

import random
from datetime import timedelta

MAX_DELAY = timedelta(hours=1)
"""Longest backoff, before jitter."""


def delay(attempt: int, *, base: float = 2.0, jitter: float = 0.0) -> timedelta:
    """Return the backoff before an automatic retry: `base ** attempt` seconds, at most MAX_DELAY, plus jitter.

    `attempt` is the number of the retry in its round: 1, 2, 3 and so on. `jitter` is the share by which the backoff may
    grow at random: with 0.2, a backoff of 8 s becomes a time between 8 and 9.6 s.
    """
    exponent = min(attempt, 64)  # a larger exponent could overflow a float
    seconds = min(base**exponent, MAX_DELAY.total_seconds())
    return timedelta(seconds=seconds * (1 + random.random() * jitter))
