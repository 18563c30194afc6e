"""The backoff and the number of automatic retries of scheduled changes that failed."""

from __future__ import annotations

import random
from datetime import timedelta

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
MAX_WAIT = timedelta(hours=1)
MAX_JITTER = timedelta(seconds=30)
"""The jitter keeps changes that failed together from being tried together again."""
DEFAULT_MAX_RETRIES, MAX_RETRIES_LIMIT = 3, 10


def wait(retry_count: int) -> timedelta:
    """Return the backoff after `retry_count` retries: 2 ** (retry_count + 1) minutes, at most an hour, plus jitter."""
    minutes = 2 ** min(retry_count + 1, 16)
    return min(timedelta(minutes=minutes), MAX_WAIT) + random.random() * MAX_JITTER


def default_max_retries() -> int:
    """Return the setting FLAG_SCHEDULE_MAX_RETRIES: the automatic retries of a schedule that does not state a number.

    If the setting is not a number from 0 to 10, logs a warning and returns 3. Every process calls this at its start.
    """
    given = str(settings.FLAG_SCHEDULE_MAX_RETRIES).strip()
    if max_retries_is_in_range():
        return int(given)
    log.warning("schedule_max_retries_out_of_range", given=given, used=DEFAULT_MAX_RETRIES)
    return DEFAULT_MAX_RETRIES


def max_retries_is_in_range() -> bool:
    """Whether FLAG_SCHEDULE_MAX_RETRIES is a whole number from 0 to 10."""
    given = str(settings.FLAG_SCHEDULE_MAX_RETRIES).strip()
    return given in map(str, range(MAX_RETRIES_LIMIT + 1))
