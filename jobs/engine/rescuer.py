"""The safety net, run from beat and from idle workers: rescues jobs of dead workers, repeats lost wake-ups.

Any number of sweeps may run at once; each step takes only rows that no other has locked.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db import connection

from flagsite.core.db import transient_errors
from jobs.engine import lifecycle, wakeup
from jobs.engine.models import Job
from jobs.errors import TransitionRefused
from jobs.metrics import counters

log = structlog.get_logger(__name__)
AT_ONCE = 100
"""How many jobs one sweep rescues, and how many it wakes workers for; the next sweep takes the rest."""


@dataclass(frozen=True, slots=True)
class RescueResult:
    """What a sweep did."""

    rescued: int
    woken: int


def rescue_and_wake() -> RescueResult:
    """Rescue what has lost its worker, then wake workers for what waits too long."""
    return RescueResult(rescued=rescue_expired(), woken=wake_waiting())


def rescue_expired(*, at_most: int = AT_ONCE) -> int:
    """End attempts whose lease has expired, and start their retries; returns how many."""
    rescued = 0
    for job_id in list(Job.objects.expired().order_by("lease_expires_at").values_list("pk", flat=True)[:at_most]):
        try:
            lifecycle.rescue(job_id=job_id)
        except TransitionRefused:  # another sweep was there first, or the worker lives after all
            continue
        except Exception as error:  # one that cannot be rescued must not keep the others from it
            if transient_errors.is_transient(error):
                raise
            log.exception("rescue_failed", jobId=job_id)
            continue
        rescued += 1
    counters.add(counters.SWEEPS)
    return rescued


WAKE_WAITING = """
UPDATE jobs_job SET woken_at = statement_timestamp()  -- index job_due; skips what another sweep has locked
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
