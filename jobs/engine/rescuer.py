"""The rescuer: it ends the jobs of dead workers, starts the retries of these jobs, and repeats lost wake-ups.

Celery beat starts the rescuer, and every worker runs it in its main process (`jobs.engine.rescuer_service`). Several
runs may work at the same time, because each run skips the rows that another run has locked.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db import connection
from django.db.models.functions import Now

from flagsite.core.db import transient_errors
from jobs.counting import counters
from jobs.engine import lifecycle, wakeup
from jobs.engine.kinds import known_kinds
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import TransitionRefused

log = structlog.get_logger(__name__)
BATCH_SIZE = 100
"""Largest number of jobs that one run rescues, and for which it repeats wake-ups. The next run takes the others."""


@dataclass(frozen=True, slots=True)
class RescueResult:
    """The number of jobs that one run rescued, and the number of jobs for which it repeated the wake-up."""

    rescued: int
    woken: int


def rescue_and_wake() -> RescueResult:
    """Rescue the jobs of dead workers, then repeat the wake-ups of jobs that have waited too long."""
    expire_waiting()
    return RescueResult(rescued=rescue_expired(), woken=wake_waiting())


def rescue_expired(*, at_most: int = BATCH_SIZE) -> int:
    """End attempts whose lease has expired, and create their retries. Returns the number of rescued attempts.

    An attempt whose kind this process does not know waits again instead.
    """
    rescued = 0
    for job_id in list(Job.objects.expired().order_by("lease_expires_at").values_list("pk", flat=True)[:at_most]):
        try:
            lifecycle.rescue(job_id=job_id)
        except TransitionRefused:  # another run has rescued the job, or its worker is alive and has renewed the lease
            continue
        except Exception as error:  # a job that cannot be rescued must not block the others
            if transient_errors.is_transient(error):
                raise
            log.exception("rescue_failed", jobId=job_id)
            continue
        rescued += 1
    counters.add(counters.RESCUER_RUNS)
    return rescued


def expire_waiting(*, at_most: int = BATCH_SIZE) -> int:
    """Cancel jobs that have not started in time (`start_by`). Returns the number of cancelled jobs.

    A job whose kind this process does not know is left to a process that knows what its end leads to.
    """
    late = Job.objects.filter(status=Status.PENDING, start_by__lt=Now(), kind__in=known_kinds()).order_by("start_by")
    return sum(lifecycle.expire(job_id=job_id) for job_id in list(late.values_list("pk", flat=True)[:at_most]))


WAKE_WAITING = """
UPDATE jobs_job SET woken_at = statement_timestamp()  -- index job_due; skips rows that another run has locked
 WHERE id IN (
    SELECT job.id FROM jobs_job job JOIN jobs_queue queue ON queue.name = job.queue
     WHERE job.status = 'PENDING' AND job.run_at <= statement_timestamp() AND queue.paused_at IS NULL
       AND (job.woken_at IS NULL OR job.woken_at < statement_timestamp()
            - CASE WHEN queue.rate_allowed IS NULL THEN interval '15 seconds' ELSE interval '1 second' END)
       AND (queue.rate_allowed IS NULL OR queue.rate_arrival_at IS NULL OR queue.rate_arrival_at
            < statement_timestamp() + queue.rate_seconds * (1 - 1.0 / queue.rate_allowed) * interval '1 second')
       AND (job.start_by IS NULL OR job.start_by > statement_timestamp())
     ORDER BY job.priority DESC, job.run_at, job.id
       FOR UPDATE OF job SKIP LOCKED LIMIT %(at_most)s)
RETURNING queue, id, kind
"""


def wake_waiting(*, at_most: int = BATCH_SIZE) -> int:
    """Send a wake-up for each due job without a wake-up in the last 15 seconds. Returns the number of wake-ups."""
    with connection.cursor() as cursor:
        cursor.execute(WAKE_WAITING, {"at_most": at_most})
        waiting = cursor.fetchall()
    for queue, job_id, kind in waiting:
        wakeup.wake(queue, job_id=job_id, kind=kind)
    if waiting:
        counters.add(counters.WAKE_UPS_REPEATED, len(waiting))
        log.debug("wake_ups_repeated", count=len(waiting))
    return len(waiting)
