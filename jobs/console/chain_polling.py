"""Poll a chain of jobs until the chain has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flagsite.core.db import transient_errors
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import JobNotFound

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS, PAUSE_GROWTH = 0.2, 1.0, 1.2
DATABASE_TIMEOUT_SECONDS = 30.0
"""The time for which the database may be unavailable before a command gives up."""


def poll_chain(root_id: int, *, database_timeout: float = DATABASE_TIMEOUT_SECONDS) -> Iterator[Job]:
    """Yield the chain's latest attempt now and again after growing pauses, at last as the chain has ended.

    `root_id` is the id of the chain's first job. Each step makes one query. Raises JobNotFound if the chain is deleted
    meanwhile, and OperationalError if the database is unavailable for more than `database_timeout` seconds.
    """
    pause = MIN_PAUSE_SECONDS
    while True:
        latest = _latest(root_id, database_timeout)
        yield latest
        if not latest.is_open:
            return
        time.sleep(pause)
        pause = min(pause * PAUSE_GROWTH, MAX_PAUSE_SECONDS)


def succeeded(latest: Job) -> bool:
    """Whether a chain with this latest attempt has COMPLETED and no organization failed."""
    return latest.status == Status.COMPLETED and not latest.failed


def _latest(root_id: int, database_timeout: float) -> Job:
    attempts = Job.objects.of_chain(root_id).defer("error_traceback", "arguments", "checkpoint")
    latest = transient_errors.retry_transient_errors(
        attempts.last, timeout_seconds=database_timeout, max_pause_seconds=MAX_PAUSE_SECONDS
    )
    if latest is None:
        raise JobNotFound
    return latest
