"""Looking at a chain again and again until it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flagsite.core.db import transient_errors
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import JobNotFound

SHORTEST_PAUSE, LONGEST_PAUSE, GROWTH = 0.2, 1.0, 1.2
PATIENCE = 30.0
"""Seconds for which the database may be away before a command gives up."""


def poll_chain(root_id: int, *, patience: float = PATIENCE) -> Iterator[Job]:
    """The chain's latest attempt, now and after growing pauses, the last time as it ended. One query for each look.

    Raises JobNotFound when it is deleted meanwhile, and OperationalError when the database is away for more than
    `patience` seconds.
    """
    pause = SHORTEST_PAUSE
    while True:
        latest = _latest(root_id, patience)
        yield latest
        if not latest.is_open:
            return
        time.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def succeeded(latest: Job) -> bool:
    """Whether a chain with this latest attempt has done all that it was for."""
    return latest.status == Status.COMPLETED and not latest.failed


def _latest(root_id: int, patience: float) -> Job:
    attempts = Job.objects.of_chain(root_id).defer("error_traceback", "arguments", "checkpoint")
    latest = transient_errors.retry_transient_errors(
        attempts.last, timeout_seconds=patience, max_pause_seconds=LONGEST_PAUSE
    )
    if latest is None:
        raise JobNotFound
    return latest
