"""What happens to a job without anybody's doing: created, claimed, renewed, completed, failed, rescued, handed back.

What people do to jobs is in `jobs.operations`; both are made of the steps of `jobs.engine.transitions`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobs.counting import hourly_metrics
from jobs.counting.models import AttemptOutcome
from jobs.engine import backoff, tracing, transitions, wakeup
from jobs.engine.kinds import kind_named
from jobs.engine.models import Job, Queue, lease_time
from jobs.engine.states import Status
from jobs.errors import LeaseLost, UnknownQueue

log = structlog.get_logger(__name__)


def create(
    *,
    kind: str,
    organization_id: int | None = None,
    arguments: dict[str, Any] | None = None,
    total: int | None = None,
    requested_by: str = "",
    correlation_id: str = "",
    priority: int = 0,
) -> Job:
    """Record a new piece of work, committed with the caller's transaction, and wake a worker after the commit.

    `total` is how many organizations it concerns, where that is known already. Raises UnknownKind, UnknownQueue.
    """
    queue = transitions.queue_named(kind_named(kind).queue)
    job = Job.objects.create(
        kind=kind,
        queue=queue.name,
        priority=priority,
        organization_id=organization_id,
        arguments=arguments or {},
        total=total,
        max_retries=queue.max_retries,
        requested_by=requested_by,
        correlation_id=correlation_id,
        trace_context=tracing.current(),
    )
    transitions.say(log.info, "job_created", **transitions.log_fields(job), kind=kind)
    wakeup.wake(queue.name)
    return job


def claim(*, queue: str, worker: str) -> Job | None:
    """Take the next due job of `queue` for `worker`, or None if nothing may start now.

    Highest priority first, then the one due longest. The lease lasts JOB_LEASE_SECONDS from the database's now;
    its token is in `lease_token` of the job returned. A paused or full queue has nothing to start.
    """
    with transaction.atomic():
        line = Queue.objects.select_for_update(no_key=True).filter(name=queue).first()
        if line is None:
            raise UnknownQueue(f"There is no queue {queue!r}.")
        if line.paused_at or _is_full(line):
            return None
        due = Job.objects.due().filter(queue=queue).order_by("-priority", "run_at", "id")
        job = due.select_for_update(skip_locked=True).first()
        if job is None:
            return None
        transitions.transition(
            job.pk,
            "claim",
            lease_token=uuid4(),
            lease_expires_at=Now() + lease_time(),
            worker=worker,
            claims=F("claims") + 1,
            started_at=Coalesce(F("started_at"), Now()),
        )
        job.refresh_from_db()
    return job


def renew(*, job_id: int, lease: UUID) -> None:
    """Prolong the lease from the database's now. Raises LeaseLost."""
    held = Job.objects.filter(pk=job_id, status=Status.IN_PROGRESS, lease_token=lease)
    if held.update(lease_expires_at=Now() + lease_time()) != 1:
        raise LeaseLost


RECORD_PROGRESS = """
UPDATE jobs_job  -- one row by primary key; renews the lease in the same write
   SET processed = processed + %(processed)s, failed = failed + %(failed)s, superseded = superseded + %(superseded)s,
       unchanged = unchanged + %(unchanged)s,
       total = COALESCE(%(total)s, total), checkpoint = COALESCE(%(checkpoint)s::jsonb, checkpoint),
       updated_at = statement_timestamp(), lease_expires_at = statement_timestamp() + %(lease_time)s
 WHERE id = %(job)s AND status = 'IN_PROGRESS' AND lease_token = %(lease)s
RETURNING cancel_requested_at IS NOT NULL
"""


def record_progress(
    *,
    job_id: int,
    lease: UUID,
    processed: int = 0,
    failed: int = 0,
    superseded: int = 0,
    unchanged: int = 0,
    total: int | None = None,
    checkpoint: str | None = None,
) -> bool:
    """Add to the counts in the caller's transaction, so that they are committed with the rows that they count.

    `checkpoint` is JSON text. Returns whether somebody asked to cancel. Raises LeaseLost, which rolls the caller's
    rows back too.
    """
    parameters: dict[str, Any] = {
        "job": job_id,
        "lease": lease,
        "processed": processed,
        "failed": failed,
        "superseded": superseded,
        "unchanged": unchanged,
        "total": total,
        "checkpoint": checkpoint,
        "lease_time": lease_time(),
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD_PROGRESS, parameters)
        row = cursor.fetchone()
    if row is None:
        raise LeaseLost
    return bool(row[0])


def complete(*, job_id: int, lease: UUID, message: str | None = None) -> None:
    """End an attempt well. `message` tells what is worth knowing, such as organizations that failed.

    Raises LeaseLost.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        done = F("processed") + F("failed")
        transitions.end(job, "complete", AttemptOutcome.COMPLETED, lease=lease, error_message=message, total=done)
        job.refresh_from_db()
        ended = {**_counts(job), "durationMs": _milliseconds(job)}
        transitions.say(log.info, "job_completed", **transitions.log_fields(job), **ended)


def fail(*, job_id: int, lease: UUID, error: str, traceback: str = "", permanent: bool = False) -> Job | None:
    """End an attempt badly and return the retry that follows, if any.

    1. Lock the chain. 2. An attempt that somebody wants cancelled is CANCELLED. 3. Unless the failure is permanent
    or the round's retries are used up, as the queue has them now, write the retry's row, due after the backoff, in
    this same transaction; the attempt is RETRYING. 4. Otherwise the attempt and all that were RETRYING are FAILED.
    Raises LeaseLost.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        queue = transitions.queue_named(job.queue)
        job.max_retries = queue.max_retries
        why: dict[str, Any] = {"error_message": error, "error_traceback": traceback, "max_retries": job.max_retries}
        if job.cancel_requested_at:
            transitions.end(job, "stop", AttemptOutcome.CANCELLED, lease=lease, **why)
            _say_cancelled(job, error=error)
            return None
        if permanent or job.round_attempt >= job.max_retries:
            transitions.end(job, "fail", AttemptOutcome.FAILED, lease=lease, **why)
            _say_failed(job, error, will_retry=False)
            return None
        wait = backoff.delay(job.round_attempt + 1, base=queue.backoff_base, jitter=queue.backoff_jitter)
        retry = _add_automatic_retry(job, wait)
        transitions.transition(job_id, "fail_for_now", lease=lease, completed_at=Now(), **why)
        hourly_metrics.add(job_id, AttemptOutcome.RETRIED, ends_chain=False)
        _say_failed(job, error, will_retry=True)
        scheduled = {"waitSeconds": wait.total_seconds(), "attempt": _attempt(retry)}
        transitions.say(log.info, "job_retry_scheduled", **transitions.log_fields(retry), **scheduled)
        wakeup.wake_later(retry.queue, after=wait)
    return retry


def rescue(*, job_id: int) -> Job | None:
    """End an attempt whose worker let the lease expire, and return the retry that follows, if any.

    The retry is due at once: the lease was wait enough. Raises MoveRefused when the attempt has ended meanwhile or
    its lease was renewed.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        job.max_retries = transitions.queue_named(job.queue).max_retries
        error = f"The worker {job.worker} stopped without a word; its lease has expired."
        why: dict[str, Any] = {"error_message": error, "max_retries": job.max_retries}
        if job.cancel_requested_at:
            transitions.end(job, "lose_cancelled", AttemptOutcome.CANCELLED, rescued=True, **why)
            _say_cancelled(job, error=error)
            return None
        if job.round_attempt >= job.max_retries:
            transitions.end(job, "lose", AttemptOutcome.FAILED, rescued=True, **why)
            _say_failed(job, error, will_retry=False)
            return None
        retry = _add_automatic_retry(job, timedelta())
        transitions.transition(job_id, "lose_for_now", completed_at=Now(), **why)
        hourly_metrics.add(job_id, AttemptOutcome.RETRIED, ends_chain=False, rescued=True)
        again = {"worker": job.worker, "attempt": _attempt(retry), "retryJobId": retry.pk}
        transitions.say(log.warning, "job_rescued", **transitions.log_fields(job), **again)
        wakeup.wake(retry.queue)
    return retry


def release(*, job_id: int, lease: UUID) -> None:
    """Hand a job back to its queue, as it stands; no attempt is used up. Raises LeaseLost.

    One that somebody wants cancelled is CANCELLED instead.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        if job.cancel_requested_at:
            stop(job_id=job_id, lease=lease)
            return
        transitions.transition(job_id, "release", lease=lease, run_at=Now(), woken_at=None)
        transitions.say(log.info, "job_released", **transitions.log_fields(job))
        wakeup.wake(job.queue)


def stop(*, job_id: int, lease: UUID) -> None:
    """End a running attempt that somebody cancelled; what it has written stays. Raises LeaseLost."""
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        transitions.end(job, "stop", AttemptOutcome.CANCELLED, lease=lease)
        _say_cancelled(job)


def _is_full(queue: Queue) -> bool:
    if queue.concurrency is None:
        return False
    return Job.objects.filter(queue=queue.name, status=Status.IN_PROGRESS).count() >= queue.concurrency


def _add_automatic_retry(job: Job, wait: timedelta) -> Job:
    return transitions.add_retry(
        job,
        trigger=Job.Trigger.AUTOMATIC,
        round_attempt=job.round_attempt + 1,
        wait=wait,
        requested_by=job.requested_by,
        reason="",
        only_behind=job.only_behind,
    )


def _counts(job: Job) -> dict[str, int]:
    return {"processed": job.processed, "failed": job.failed, "superseded": job.superseded}


def _attempt(job: Job) -> str:
    """Of the retries that a round may have, which one it is; the first attempt is 0."""
    return f"{job.round_attempt}/{job.max_retries}"


def _say_failed(job: Job, error: str, *, will_retry: bool) -> None:
    transitions.say(
        log.warning if will_retry else log.error, "job_failed", **transitions.log_fields(job), error=error,
        durationMs=_milliseconds(job), willRetry=will_retry, attempt=_attempt(job),
    )  # fmt: skip


def _say_cancelled(job: Job, **more: str) -> None:
    transitions.say(log.info, "job_cancelled", **transitions.log_fields(job), by=job.cancelled_by, **more)


def _milliseconds(job: Job) -> float | None:
    return round(job.duration.total_seconds() * 1000, 1) if job.duration else None
