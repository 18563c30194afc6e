"""The gates of the queue: whether a job that somebody enqueues waits for a worker, or runs at once in this process.

Other apps add a check of their own to `checks`. A job goes through the queue if all checks allow it. A check that fails
counts as one that allows it, because the queue keeps what it gets, whatever happens to this process.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction

from jobs.engine.models import Job

log = structlog.get_logger(__name__)
Check = Callable[[Job.Trigger, int | None, str], bool]
"""Takes the trigger, the id of the organization for which the job works, and a text that differs for each request."""
checks: list[Check] = []


def is_open(trigger: Job.Trigger, *, organization_id: int | None, unit: str) -> bool:
    """Return whether the job may wait in its queue. If not, it has to run at once."""
    try:
        with transaction.atomic():  # a failing query must not break the caller's transaction
            return all(check(trigger, organization_id, unit) for check in checks)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the gates, the queue works
        log.warning("gate_not_read", trigger=str(trigger), error=str(error))
        return True
