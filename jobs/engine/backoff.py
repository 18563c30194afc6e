"""Compute how long an automatic retry waits before it starts."""

from __future__ import annotations

import random
from datetime import timedelta

from jobs.engine.kinds import find_kind
from jobs.engine.models import Backoff, Queue

MAX_DELAY = timedelta(hours=1)
"""Longest backoff, before jitter."""


def delay(
    attempt: int, *, base: float = 2.0, jitter: float = 0.0, first: float | None = None, is_fixed: bool = False
) -> timedelta:
    """Return the backoff before an automatic retry, at most MAX_DELAY, plus jitter.

    `attempt` is the number of the retry in its round: 1, 2, 3 and so on. The first retry waits `first` seconds, or
    `base` seconds if `first` is None. Each further retry waits `base` times as long as the one before, or equally long
    if the backoff is fixed. `jitter` is the share by which the backoff may grow at random: with 0.2, a backoff of 8 s
    becomes a time between 8 and 9.6 s.
    """
    exponent = 0 if is_fixed else min(attempt - 1, 64)  # a larger exponent could overflow a float
    seconds = min((base if first is None else first) * base**exponent, MAX_DELAY.total_seconds())
    return timedelta(seconds=seconds * (1 + random.random() * jitter))


def of_queue(queue: Queue, attempt: int, *, jitter: bool = True) -> timedelta:
    """Return the backoff of the queue before automatic retry number `attempt` of a round, with or without jitter."""
    return delay(
        attempt,
        base=queue.backoff_base,
        jitter=queue.backoff_jitter if jitter else 0.0,
        first=queue.backoff_delay,
        is_fixed=queue.backoff_type == Backoff.FIXED,
    )


def retries_allowed(kind: str, queue: Queue) -> int:
    """Return how many automatic retries a round of this kind has: those of the kind, or else those of the queue."""
    found = find_kind(kind)
    return queue.max_retries if found is None or found.retry_waits is None else len(found.retry_waits)


def of_kind(kind: str, queue: Queue, attempt: int) -> timedelta:
    """Return the wait before automatic retry number `attempt` of a round: that of the kind, or else of the queue."""
    found = find_kind(kind)
    if found is None or found.retry_waits is None:
        return of_queue(queue, attempt)
    seconds = found.retry_waits[min(attempt, len(found.retry_waits)) - 1]
    return timedelta(seconds=seconds * (1 + random.random() * queue.backoff_jitter))
