"""How long a scheduled change that failed waits, and how often it is tried again."""

from __future__ import annotations

import random
from datetime import timedelta

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
LONGEST = timedelta(hours=1)
MOST_JITTER = timedelta(seconds=30)
"""So that what failed together does not come back together."""
USUAL_RETRIES, MOST_RETRIES = 3, 10


def wait(retry_count: int) -> timedelta:
    """The wait after so many retries: 2 ** (retry_count + 1) minutes, at most an hour, and up to 30 s of jitter."""
    minutes = 2 ** min(retry_count + 1, 16)
    return min(timedelta(minutes=minutes), LONGEST) + random.random() * MOST_JITTER


def default_max_retries() -> int:
    """How often a scheduled change is tried again, unless it says: FLAG_SCHEDULE_MAX_RETRIES, 0 to 10, else 3.

    Warns of any other value: when a process starts, and when the 3 is used.
    """
    given = str(settings.FLAG_SCHEDULE_MAX_RETRIES).strip()
    if max_retries_is_in_range():
        return int(given)
    log.warning("schedule_max_retries_out_of_range", given=given, used=USUAL_RETRIES)
    return USUAL_RETRIES


def max_retries_is_in_range() -> bool:
    """Whether FLAG_SCHEDULE_MAX_RETRIES is a whole number from 0 to 10."""
    given = str(settings.FLAG_SCHEDULE_MAX_RETRIES).strip()
    return given in map(str, range(MOST_RETRIES + 1))
