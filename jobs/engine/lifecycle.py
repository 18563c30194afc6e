"""The steps of a job's life that need no person: create, claim, renew, complete, fail, rescue, release, stop.

The operations of people are in `jobs.operations`. Both use the transitions of `jobs.engine.transitions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F, Max
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from flagsite.core import actor
from jobs.artifacts import output
from jobs.counting import hourly_metrics
from jobs.counting.models import AttemptOutcome
from jobs.engine import backoff, new_jobs, tracing, transitions, wakeup, worker_registry
from jobs.engine.kinds import JobKind, find_kind, kind_named
from jobs.engine.models import Job, lease_time
from jobs.engine.states import Status
from jobs.errors import LeaseLost

log = structlog.get_logger(__name__)
Artifacts = Sequence[output.WrittenArtifact]
EXPIRED = "expired"
"""The reason of the cancellation of a job that has not started in time."""


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """A unique key of a job, and how long no second job can have it."""

    key: str
    lasts: Job.Uniqueness = Job.Uniqueness.OPEN


def create(
    *,
    kind: str,
    queue: str = "",
    organization_id: int | None = None,
    arguments: dict[str, Any] | None = None,
    total: int | None = None,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
    priority: int = 0,
    trigger: Job.Trigger = Job.Trigger.REQUEST,
    wait: timedelta = timedelta(),
    run_at: datetime | None = None,
    start_within: timedelta | None = None,
    unique: Uniqueness | None = None,
    wakes: bool = True,
) -> Job:
    """Create a job in the caller's transaction, and send a wake-up after the commit.

    `arguments` is JSON that the code of the kind reads. `total` is the number of organizations to process, if it is
    known. `requested_by` is an actor. A higher `priority` runs first. The job waits in `queue`, or in the queue of
    its kind. It is due after `wait`, or at `run_at`. If it has not started `start_within` after that, the engine
    cancels it. Without `wakes`, no wake-up is sent, because the caller runs the job. Raises UnknownKind, UnknownQueue,
    or IntegrityError if another job has the unique key.
    """
    job_kind = kind_named(kind)
    job = new_job(
        job_kind,
        queue or job_kind.queue,
        priority=priority,
        organization_id=organization_id,
        arguments=arguments or {},
        total=total,
        requested_by=requested_by,
        correlation_id=correlation_id,
        reason=reason,
        trigger=trigger,
        unique_key=unique.key if unique else None,
        unique_while=unique.lasts if unique else "",
    )
    due = new_jobs.Due(wait, run_at, start_within)
    new_jobs.insert(job, due, hold=job.queue != job_kind.queue)
    transitions.log_on_commit(log.info, "job_created", **transitions.log_fields(job), kind=kind)
    later = wait if run_at is None else max(run_at - timezone.now(), timedelta())
    if later:
        wakeup.wake_later(job.queue, after=later)
    elif wakes:
        wakeup.wake(job.queue, job_id=job.pk, kind=kind)
    return job


def new_job(kind: JobKind, queue: str, *, arguments: dict[str, Any], **columns: Any) -> Job:
    """Return a job of the kind that is not stored yet; `queue` is the name of the queue in which it waits.

    If `columns` does not say how many retries it has, they are those of the kind, or else None.
    """
    key = kind.concurrency_key
    return Job(
        kind=kind.name,
        queue=queue,
        trace_context=tracing.current(),
        concurrency_key=f"{kind.name}:{key(columns.get('organization_id'), arguments)}" if key else "",
        arguments=arguments,
        **{"max_retries": None if kind.retry_waits is None else len(kind.retry_waits)} | columns,
    )


def renew(*, job_id: int, lease: UUID) -> None:
    """Renew the lease. It expires JOB_LEASE_SECONDS after the current time of the database. Raises LeaseLost."""
    leased = Job.objects.filter(pk=job_id, status=Status.IN_PROGRESS, lease_token=lease)
    if leased.update(lease_expires_at=Now() + lease_time()) != 1:
        raise LeaseLost


def extend(*, job_id: int, lease: UUID, seconds: float) -> None:
    """Move the deadline of the running attempt to `seconds` from now, if that is later. Raises LeaseLost."""
    leased = Job.objects.filter(pk=job_id, status=Status.IN_PROGRESS, lease_token=lease)
    if leased.update(deadline_at=Greatest(F("deadline_at"), Now() + timedelta(seconds=seconds))) != 1:
        raise LeaseLost


def fail_killed(*, job_id: int, pid: int, error: str) -> Job | None:
    """End the attempt of a child process of this worker that the worker has killed. Return its automatic retry.

    Raises LeaseLost if the process no longer ran the job.
    """
    worker = worker_registry.process_name(pid)
    job = Job.objects.filter(pk=job_id, status=Status.IN_PROGRESS, worker=worker).first()
    if job is None or job.lease_token is None:
        raise LeaseLost
    return fail(job_id=job_id, lease=job.lease_token, error=error)


RECORD_PROGRESS = """
UPDATE jobs_job  -- one row by primary key; the same statement renews the lease
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
    """Add to the counts of a job in the caller's transaction, and renew the lease.

    The counts are committed together with the rows that they count. `checkpoint` is JSON text; None keeps the old one.
    Returns whether a person has cancelled the job. Raises LeaseLost, so that the caller's rows are rolled back as well.
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


def complete(
    *, job_id: int, lease: UUID, message: str | None = None, result: Any = None, artifacts: Artifacts = ()
) -> None:
    """End an attempt as COMPLETED. `message` may explain the outcome, such as organizations that failed.

    `result` is JSON that the work has produced, and `artifacts` are its files. Raises LeaseLost.
    """
    with transaction.atomic():
        _complete(transitions.lock_chain(job_id), lease, message, result, artifacts)


def finish(*, job_id: int, lease: UUID, result: Any = None, artifacts: Artifacts = ()) -> None:
    """End an attempt whose work is done: it has failed if every organization failed, otherwise it is COMPLETED.

    Raises LeaseLost.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        if job.lease_token != lease:
            raise LeaseLost
        first = job.failures.order_by("organization_id").first() if job.failed else None
        example = f"(id {first.organization_id}): {first.error}" if first else "is unknown"
        if job.failed and not job.processed:
            all_failed = f"All {job.failed} organizations failed; the first {example}"
            error = f"The only organization failed {example}" if job.failed == 1 else all_failed
            fail(job_id=job_id, lease=lease, error=error)
            return
        message = None
        if job.failed:
            message = f"{job.failed} of {job.failed + job.processed} organizations failed; the first {example}"
        elif job.processed and job.superseded == job.processed:
            message = "Every organization already had the value of a newer change; nothing was written."
        _complete(job, lease, message, result, artifacts)


def _complete(job: Job, lease: UUID, message: str | None, result: Any, artifacts: Artifacts) -> None:
    columns = {"error_message": message, "total": job.processed + job.failed, "result": result}
    transitions.end(job, "complete", AttemptOutcome.COMPLETED, lease=lease, **columns)
    output.record(job, artifacts)
    log_completed(job, job.processed, job.failed, job.superseded)


def log_completed(job: Job, processed: int, failed: int, superseded: int) -> None:
    """Log after the commit that the attempt is COMPLETED, with its counts."""
    counts = {"processed": processed, "failed": failed, "superseded": superseded, "durationMs": _milliseconds(job)}
    transitions.log_on_commit(log.info, "job_completed", **transitions.log_fields(job), **counts)


def fail(
    *,
    job_id: int,
    lease: UUID,
    error: str,
    traceback: str = "",
    permanent: bool = False,
    artifacts: Artifacts = (),
) -> Job | None:
    """End an attempt that failed, and return its automatic retry, or None if there is none.

    Everything happens in one transaction, with the chain locked:

    1. If a person has cancelled the job, the attempt becomes CANCELLED.
    2. If the failure is permanent, or the round has used up the retries that the queue allows now, the attempt and all
       RETRYING attempts of the chain become FAILED.
    3. Otherwise the attempt becomes RETRYING, and a retry is created that is due after the backoff.

    `artifacts` are kept if the chain ends FAILED. Raises LeaseLost.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        queue = transitions.queue_named(job.queue)
        job.max_retries = backoff.retries_allowed(job.kind, queue)
        error_columns: dict[str, Any] = {
            "error_message": error,
            "error_traceback": traceback,
            "max_retries": job.max_retries,
        }
        if job.cancel_requested_at:
            transitions.end(job, "stop", AttemptOutcome.CANCELLED, lease=lease, **error_columns)
            _log_cancelled(job, error=error)
            return None
        if permanent or job.round_attempt >= job.max_retries:
            transitions.end(job, "fail", AttemptOutcome.FAILED, lease=lease, **error_columns)
            output.record(job, artifacts)
            _log_failed(job, error, will_retry=False)
            return None
        wait = backoff.of_kind(job.kind, queue, job.round_attempt + 1)
        retry = _add_automatic_retry(job, wait)
        transitions.transition(job_id, "fail_for_now", lease=lease, completed_at=Now(), **error_columns)
        hourly_metrics.add(job_id, AttemptOutcome.RETRIED, ends_chain=False)
        _log_failed(job, error, will_retry=True)
        retry_fields = {"waitSeconds": wait.total_seconds(), "attempt": _attempt(retry)}
        transitions.log_on_commit(log.info, "job_retry_scheduled", **transitions.log_fields(retry), **retry_fields)
        wakeup.wake_later(retry.queue, after=wait)
    return retry


def rescue(*, job_id: int) -> Job | None:
    """End an attempt whose lease has expired, and return its automatic retry, or None if there is none.

    The retry is due at once, without a backoff, because the job has already waited for the lease to expire. A worker
    that dies is not the job's fault as long as the job advances: the retry uses up one of the automatic retries only if
    the attempt did no more than the attempts before it. If this process does not know the kind, it cannot know the
    retries of the kind either. The attempt then waits again, for a process that knows it. Raises TransitionRefused if
    the attempt has ended or its lease was renewed in the meantime.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        job.max_retries = backoff.retries_allowed(job.kind, transitions.queue_named(job.queue))
        error = f"The worker {job.worker} did not renew the lease in time; it has probably died."
        error_columns: dict[str, Any] = {"error_message": error, "max_retries": job.max_retries}
        if job.cancel_requested_at:
            transitions.end(job, "lose_cancelled", AttemptOutcome.CANCELLED, rescued=True, **error_columns)
            _log_cancelled(job, error=error)
            return None
        if find_kind(job.kind) is None:
            transitions.transition(job_id, "lose_unknown", woken_at=None, start_by=None)
            transitions.log_on_commit(log.info, "job_released", **transitions.log_fields(job))
            wakeup.wake(job.queue, job_id=job.pk, kind=job.kind)
            return None
        advanced = _has_advanced(job)
        if job.round_attempt >= job.max_retries and not advanced:
            transitions.end(job, "lose", AttemptOutcome.FAILED, rescued=True, **error_columns)
            _log_failed(job, error, will_retry=False)
            return None
        retry = _add_automatic_retry(job, timedelta(), counts=not advanced)
        transitions.transition(job_id, "lose_for_now", completed_at=Now(), **error_columns)
        hourly_metrics.add(job_id, AttemptOutcome.RETRIED, ends_chain=False, rescued=True)
        rescue_fields = {"worker": job.worker, "attempt": _attempt(retry), "retryJobId": retry.pk}
        transitions.log_on_commit(log.warning, "job_rescued", **transitions.log_fields(job), **rescue_fields)
        wakeup.wake(retry.queue, job_id=retry.pk, kind=retry.kind)
    return retry


def expire(*, job_id: int) -> bool:
    """Cancel a job that has not started in time. Returns False if it has started or ended meanwhile."""
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        if job.status != Status.PENDING or job.start_by is None:
            return False
        why = f"The job had to start by {job.start_by:%Y-%m-%d %H:%M:%S} UTC, and no worker had started it by then."
        reasons: dict[str, Any] = {"cancel_requested_at": Now(), "cancelled_by": actor.SYSTEM, "cancel_reason": EXPIRED}
        transitions.end(job, "cancel", AttemptOutcome.CANCELLED, error_message=why, **reasons)
        transitions.log_on_commit(log.warning, "job_expired", **transitions.log_fields(job), startBy=job.start_by)
    return True


def release(*, job_id: int, lease: UUID) -> None:
    """Return a running job to its queue. The same attempt continues later from its checkpoint. Raises LeaseLost.

    A time by which it had to start (`start_by`) holds no more, because it has started.
    If a person has cancelled the job, it becomes CANCELLED instead.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        if job.cancel_requested_at:
            stop(job_id=job_id, lease=lease)
            return
        transitions.transition(job_id, "release", lease=lease, run_at=Now(), woken_at=None, start_by=None)
        transitions.log_on_commit(log.info, "job_released", **transitions.log_fields(job))
        wakeup.wake(job.queue, job_id=job.pk, kind=job.kind)


def stop(*, job_id: int, lease: UUID) -> None:
    """End a running attempt that a person has cancelled. The rows that it has written stay. Raises LeaseLost."""
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        transitions.end(job, "stop", AttemptOutcome.CANCELLED, lease=lease)
        _log_cancelled(job)


def _has_advanced(job: Job) -> bool:
    """Return whether the attempt did more than each earlier attempt of its chain."""
    done = F("processed") + F("failed")
    earlier = Job.objects.of_chain(job.root_id).filter(pk__lt=job.pk).order_by()
    most = earlier.aggregate(most=Max(done))["most"] or 0
    return job.processed + job.failed > most


def _add_automatic_retry(job: Job, wait: timedelta, *, counts: bool = True) -> Job:
    return transitions.add_retry(
        job,
        trigger=Job.Trigger.AUTOMATIC,
        round_attempt=job.round_attempt + int(counts),
        wait=wait,
        requested_by=job.requested_by,
        reason="",
        only_behind=job.only_behind,
    )


def _attempt(job: Job) -> str:
    """Return the number of the attempt in its round and the number of retries allowed, such as `0/3` or `2/3`."""
    return f"{job.round_attempt}/{job.max_retries}"


def _log_failed(job: Job, error: str, *, will_retry: bool) -> None:
    transitions.log_on_commit(
        log.warning if will_retry else log.error, "job_failed", **transitions.log_fields(job), error=error,
        durationMs=_milliseconds(job), willRetry=will_retry, attempt=_attempt(job),
    )  # fmt: skip


def _log_cancelled(job: Job, **more: str) -> None:
    transitions.log_on_commit(log.info, "job_cancelled", **transitions.log_fields(job), by=job.cancelled_by, **more)


def _milliseconds(job: Job) -> float | None:
    return round(job.duration.total_seconds() * 1000, 1) if job.duration else None
