"""Every step in a job's life. The only module that writes `Job.status`; each step is one of `jobs.states.MOVES`.

A step that touches several attempts of a chain locks the first one's row first, so that of two steps on one chain
the second sees what the first has done.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobs import backoff, wakeup
from jobs.errors import JobNotFound, LeaseLost, MoveRefused, NotCancellable, NotRetryable, UnknownQueue
from jobs.kinds import kind_named
from jobs.models import Job, Queue, lease_time
from jobs.states import MOVES, Guard, Status

log = structlog.get_logger(__name__)


def create(
    *,
    kind: str,
    organization_id: int,
    arguments: dict[str, Any] | None = None,
    total: int | None = None,
    requested_by: str = "",
    correlation_id: str = "",
    priority: int = 0,
) -> Job:
    """Record a new piece of work, committed with the caller's transaction, and wake a worker after the commit.

    `total` is how many organizations it concerns, where that is known already. Raises UnknownKind, UnknownQueue.
    """
    queue = _queue(kind_named(kind).queue)
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
    )
    wakeup.wake(queue.name)
    log.info("job_created", **_fields(job), kind=kind)
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
        _move(
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
        job = _lock_chain(job_id)
        done = F("processed") + F("failed")
        _move(job_id, "complete", lease=lease, completed_at=Now(), error_message=message, total=done)
        _settle(job.root_id)
    job.refresh_from_db()
    log.info("job_completed", **_fields(job), **_counts(job), seconds=_seconds(job))


def fail(*, job_id: int, lease: UUID, error: str, traceback: str = "", permanent: bool = False) -> Job | None:
    """End an attempt badly and return the retry that follows, if any.

    1. Lock the chain. 2. An attempt that somebody wants cancelled is CANCELLED. 3. Unless the failure is permanent
    or the round's retries are used up, write the retry's row, due after the backoff, in this same transaction; the
    attempt is RETRYING. 4. Otherwise the attempt and all that were RETRYING are FAILED. Raises LeaseLost.
    """
    with transaction.atomic():
        job = _lock_chain(job_id)
        ended: dict[str, Any] = {"completed_at": Now(), "error_message": error, "error_traceback": traceback}
        if job.cancel_requested_at:
            _move(job_id, "stop", lease=lease, **ended)
            _settle(job.root_id)
            return None
        if permanent or job.round_attempt >= job.max_retries:
            _move(job_id, "fail", lease=lease, **ended)
            _settle(job.root_id)
            log.error("job_permanently_failed", **_fields(job), error=error, retries=job.round_attempt)
            return None
        queue = _queue(job.queue)
        wait = backoff.delay(job.round_attempt + 1, base=queue.backoff_base, jitter=queue.backoff_jitter)
        retry = _add_automatic_retry(job, wait)
        _move(job_id, "fail_for_now", lease=lease, next_retry_at=retry.run_at, **ended)
    log.warning("job_failed_can_be_retried", **_fields(job), error=error, attempt=_attempt(retry))
    log.info("job_retry_scheduled", **_fields(retry), seconds=wait.total_seconds(), attempt=_attempt(retry))
    return retry


def rescue(*, job_id: int) -> Job | None:
    """End an attempt whose worker let the lease expire, and return the retry that follows, if any.

    The retry is due at once: the lease was wait enough. Raises MoveRefused when the attempt has ended meanwhile or
    its lease was renewed.
    """
    with transaction.atomic():
        job = _lock_chain(job_id)
        error = f"The worker {job.worker} stopped without a word; its lease has expired."
        ended: dict[str, Any] = {"completed_at": Now(), "error_message": error}
        if job.cancel_requested_at:
            _move(job_id, "lose_cancelled", **ended)
            _settle(job.root_id)
            return None
        if job.round_attempt >= job.max_retries:
            _move(job_id, "lose", **ended)
            _settle(job.root_id)
            log.error("job_permanently_failed", **_fields(job), error=error, retries=job.round_attempt)
            return None
        retry = _add_automatic_retry(job, timedelta())
        _move(job_id, "lose_for_now", next_retry_at=retry.run_at, **ended)
        wakeup.wake(retry.queue)
    log.warning("job_rescued", **_fields(job), worker=job.worker, attempt=_attempt(retry), retryJobId=retry.pk)
    return retry


def release(*, job_id: int, lease: UUID) -> None:
    """Hand a job back to its queue, as it stands; no attempt is used up. Raises LeaseLost.

    One that somebody wants cancelled is CANCELLED instead.
    """
    with transaction.atomic():
        job = _lock_chain(job_id)
        if job.cancel_requested_at:
            stop(job_id=job_id, lease=lease)
            return
        _move(job_id, "release", lease=lease, run_at=Now(), woken_at=None)
        wakeup.wake(job.queue)
    log.info("job_released", **_fields(job))


def stop(*, job_id: int, lease: UUID) -> None:
    """End a running attempt that somebody cancelled; what it has written stays. Raises LeaseLost."""
    with transaction.atomic():
        job = _lock_chain(job_id)
        _move(job_id, "stop", lease=lease, completed_at=Now())
        _settle(job.root_id)
    log.info("job_cancelled", **_fields(job), by=job.cancelled_by)


def cancel(*, job_id: int, by: str, reason: str = "") -> Job:
    """Cancel what is open of the job's chain: a waiting attempt at once, a running one at its next chunk.

    Returns the attempt that it concerns. Raises JobNotFound, or NotCancellable when the chain has ended.
    """
    with transaction.atomic():
        job = _lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).select_for_update().last()
        if latest is None or not latest.is_open or (job.pk != latest.pk and job.status != Status.RETRYING):
            raise NotCancellable(f"Job {job_id} is {job.status} and cannot be cancelled any more.", status=job.status)
        asked: dict[str, Any] = {"cancel_requested_at": Now(), "cancelled_by": by, "reason": reason}
        if latest.status == Status.PENDING:
            _move(latest.pk, "cancel", completed_at=Now(), **asked)
            _settle(job.root_id)
        else:
            Job.objects.filter(pk=latest.pk).update(updated_at=Now(), **asked)
        latest.refresh_from_db()
    log.info("job_cancel_requested", **_fields(latest), by=by, reason=reason)
    return latest


def retry(*, job_id: int, by: str, reason: str = "") -> Job:
    """Start a new round of attempts in the job's chain because a person asked, and return its first attempt.

    The new attempt does the same work with the same arguments, thus with the change number of the request that
    began the chain. After one that COMPLETED with failures it covers only what was left behind. Raises
    JobNotFound, or NotRetryable with the reason.
    """
    with transaction.atomic():
        job = _lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).last() or job
        if latest.is_open:
            raise NotRetryable(f"Attempt {latest.pk} of this job is {latest.status} already.", status=latest.status)
        if latest.status == Status.CANCELLED:
            raise NotRetryable(f"Job {latest.pk} was cancelled; send the request anew.", status=latest.status)
        if latest.status == Status.COMPLETED and not latest.failed:
            raise NotRetryable(f"Job {latest.pk} has COMPLETED; there is nothing to retry.", status=latest.status)
        again = _add_retry(
            latest,
            trigger=Job.Trigger.MANUAL,
            round_attempt=0,
            wait=timedelta(),
            requested_by=by,
            reason=reason,
            only_behind=latest.only_behind or latest.status == Status.COMPLETED,
        )
        _move_all("reopen", job.root_id)
        wakeup.wake(again.queue)
    log.info("job_manual_retry", **_fields(again), originalJobId=job_id, by=by, reason=reason)
    return again


def _queue(name: str) -> Queue:
    queue = Queue.objects.filter(name=name).first()
    if queue is None:
        raise UnknownQueue(f"There is no queue {name!r}.")
    return queue


def _is_full(queue: Queue) -> bool:
    if queue.concurrency is None:
        return False
    return Job.objects.filter(queue=queue.name, status=Status.IN_PROGRESS).count() >= queue.concurrency


def _lock_chain(job_id: int) -> Job:
    """Lock the first job of the chain, then read the job. Raises JobNotFound."""
    parent_id = Job.objects.filter(pk=job_id).values_list("parent_job_id", flat=True).first()
    Job.objects.select_for_update().filter(pk=parent_id or job_id).first()
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def _move(job_id: int, name: str, *, lease: UUID | None = None, **columns: Any) -> None:
    """Perform one move by compare-and-set. Raises LeaseLost or MoveRefused when it finds another state."""
    move = MOVES[name]
    rows = Job.objects.filter(pk=job_id, status=move.source)
    if move.guard is Guard.LEASE:
        rows = rows.filter(lease_token=lease)
    elif move.guard is Guard.EXPIRED:
        rows = rows.expired()
    if move.source is Status.IN_PROGRESS:
        columns |= {"lease_token": None, "lease_expires_at": None}
    if rows.update(status=move.target, updated_at=Now(), **columns) != 1:
        if move.guard is Guard.LEASE:
            raise LeaseLost
        raise MoveRefused(f"Job {job_id} is no longer {move.source}.")


def _move_all(name: str, root_id: int) -> None:
    """Perform one move on every attempt of the chain that it applies to."""
    move = MOVES[name]
    Job.objects.of_chain(root_id).filter(status=move.source).order_by().update(status=move.target, updated_at=Now())


def _settle(root_id: int) -> None:
    """The chain has ended: what was RETRYING shows how its own attempt ended."""
    _move_all("settle", root_id)


def _add_automatic_retry(job: Job, wait: timedelta) -> Job:
    return _add_retry(
        job,
        trigger=Job.Trigger.AUTOMATIC,
        round_attempt=job.round_attempt + 1,
        wait=wait,
        requested_by=job.requested_by,
        reason="",
        only_behind=job.only_behind,
    )


def _add_retry(
    job: Job,
    *,
    trigger: Job.Trigger,
    round_attempt: int,
    wait: timedelta,
    requested_by: str,
    reason: str,
    only_behind: bool,
) -> Job:
    """Write the next attempt's row; the chain is locked, and the number is unique in it besides."""
    root = Job.objects.get(pk=job.root_id)
    number = root.retry_count + 1
    again = Job.objects.create(
        kind=job.kind,
        queue=job.queue,
        priority=job.priority,
        organization_id=job.organization_id,
        arguments=job.arguments,
        only_behind=only_behind,
        parent_job_id=root.pk,
        trigger=trigger,
        retry_count=number,
        round_attempt=round_attempt,
        max_retries=job.max_retries,
        requested_by=requested_by,
        reason=reason,
        correlation_id=job.correlation_id,
        run_at=Now() + wait,
    )
    Job.objects.filter(pk=again.pk).update(next_retry_at=F("run_at"))
    Job.objects.filter(pk=root.pk).update(retry_count=number, updated_at=Now())
    again.refresh_from_db()
    return again


def _fields(job: Job) -> dict[str, Any]:
    """What every log line about a job carries."""
    return {
        "jobId": job.pk,
        "rootJobId": job.root_id,
        "organizationId": job.organization_id,
        "correlationId": job.correlation_id,
        "queue": job.queue,
    }


def _counts(job: Job) -> dict[str, int]:
    return {"processed": job.processed, "failed": job.failed, "superseded": job.superseded}


def _attempt(retry: Job) -> str:
    return f"{retry.round_attempt}/{retry.max_retries}"


def _seconds(job: Job) -> float | None:
    return round(job.duration.total_seconds(), 3) if job.duration else None
