"""The rescuer: it ends the jobs of dead workers, with their retries, and repeats lost wake-ups.

Beat asks for it, and every worker runs it in its main process (`jobs.engine.rescuer_service`). Any number of runs may
go on at once; each takes only rows that no other has locked.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db import connection

from flagsite.core.db import transient_errors
from jobs.counting import counters
from jobs.engine import lifecycle, wakeup
from jobs.engine.models import Job
from jobs.errors import TransitionRefused

log = structlog.get_logger(__name__)
AT_ONCE = 100
"""How many jobs one run rescues, and how many it wakes workers for; the next run takes the rest."""


@dataclass(frozen=True, slots=True)
class RescueResult:
    """How many jobs one run rescued, and for how many it repeated the wake-up."""

    rescued: int
    woken: int


def rescue_and_wake() -> RescueResult:
    """Rescue the jobs of dead workers, then wake workers for jobs that wait too long."""
    return RescueResult(rescued=rescue_expired(), woken=wake_waiting())


def rescue_expired(*, at_most: int = AT_ONCE) -> int:
    """End attempts whose lease has expired, and start their retries; returns how many."""
    rescued = 0
    for job_id in list(Job.objects.expired().order_by("lease_expires_at").values_list("pk", flat=True)[:at_most]):
        try:
            lifecycle.rescue(job_id=job_id)
        except TransitionRefused:  # another run was there first, or the worker lives after all
            continue
        except Exception as error:  # one that cannot be rescued must not keep the others from it
            if transient_errors.is_transient(error):
                raise
            log.exception("rescue_failed", jobId=job_id)
            continue
        rescued += 1
    counters.add(counters.RESCUER_RUNS)
    return rescued


WAKE_WAITING = """
UPDATE jobs_job SET woken_at = statement_timestamp()  -- index job_due; skips what another run has locked
 WHERE id IN (
    SELECT job.id FROM jobs_job job JOIN jobs_queue queue ON queue.name = job.queue
     WHERE job.status = 'PENDING' AND job.run_at <= statement_timestamp() AND queue.paused_at IS NULL
       AND (job.woken_at IS NULL OR job.woken_at < statement_timestamp() - interval '15 seconds')
     ORDER BY job.priority DESC, job.run_at, job.id
       FOR UPDATE OF job SKIP LOCKED LIMIT %(at_once)s)
RETURNING queue
"""


def wake_waiting(*, at_most: int = AT_ONCE) -> int:
    """Send a wake-up for due jobs that had none lately; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(WAKE_WAITING, {"at_once": at_most})
        queues = [queue for (queue,) in cursor.fetchall()]
    for queue in queues:
        wakeup.wake(queue)
    if queues:
        counters.add(counters.WAKE_UPS_REPEATED, len(queues))
        log.debug("wake_ups_repeated", count=len(queues))
    return len(queues)
