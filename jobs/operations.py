"""What people do to jobs: cancel, retry, give another priority. Each deed is recorded in the history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now

from jobs import moves, tallies, wakeup
from jobs.errors import JobEnded, NotCancellable, NotRetryable
from jobs.models import Job, JobTally
from jobs.states import Status
from orgs import history

log = structlog.get_logger(__name__)
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100


def cancel(*, job_id: int, by: str, reason: str = "") -> Job:
    """Cancel what is open of the job's chain: a waiting attempt at once, a running one at its next chunk.

    Returns the attempt that it concerns. Raises JobNotFound, or NotCancellable when the chain has ended.
    """
    with transaction.atomic():
        job = moves.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).select_for_update().last()
        if latest is None or not latest.is_open or (job.pk != latest.pk and job.status != Status.RETRYING):
            raise NotCancellable(f"Job {job_id} is {job.status} and cannot be cancelled any more.", status=job.status)
        asked: dict[str, Any] = {"cancel_requested_at": Now(), "cancelled_by": by, "reason": reason}
        if latest.status == Status.PENDING:
            moves.move(latest.pk, "cancel", completed_at=Now(), **asked)
            moves.settle(job.root_id)
        else:
            Job.objects.filter(pk=latest.pk).update(updated_at=Now(), **asked)
        _record("job.cancel", latest, by, reason)
        if latest.status == Status.PENDING:
            tallies.add(latest.pk, JobTally.Outcome.CANCELLED, ends_chain=True)
        latest.refresh_from_db()
    log.info("job_cancel_requested", **moves.log_fields(latest), by=by, reason=reason)
    return latest


def retry(*, job_id: int, by: str, reason: str = "") -> Job:
    """Start a new round of attempts in the job's chain because a person asked, and return its first attempt.

    The new attempt does the same work with the same arguments, thus with the change number of the request that
    began the chain. After one that COMPLETED with failures it covers only what was left behind. Raises
    JobNotFound, or NotRetryable with the reason.
    """
    with transaction.atomic():
        job = moves.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).last() or job
        if latest.is_open:
            raise NotRetryable(f"Attempt {latest.pk} of this job is {latest.status} already.", status=latest.status)
        if latest.status == Status.CANCELLED:
            raise NotRetryable(f"Job {latest.pk} was cancelled; send the request anew.", status=latest.status)
        if latest.status == Status.COMPLETED and not latest.failed:
            raise NotRetryable(f"Job {latest.pk} has COMPLETED; there is nothing to retry.", status=latest.status)
        again = moves.add_retry(
            latest,
            trigger=Job.Trigger.MANUAL,
            round_attempt=0,
            wait=timedelta(),
            requested_by=by,
            reason=reason,
            only_behind=latest.only_behind or latest.status == Status.COMPLETED,
        )
        moves.move_all("reopen", job.root_id)
        _record("job.retry", job, by, reason, retryJobId=again.pk)
        tallies.add_manual_retry(again.pk)
        wakeup.wake(again.queue)
    log.info("job_manual_retry", **moves.log_fields(again), originalJobId=job_id, by=by, reason=reason)
    return again


def set_priority(*, job_id: int, priority: int, by: str, reason: str = "") -> Job:
    """Have a job that waits start before others (higher) or after them; its retries keep it. Returns the open attempt.

    `priority` is between LOWEST_PRIORITY and HIGHEST_PRIORITY. Raises JobNotFound, or JobEnded when nothing of the
    chain is open.
    """
    with transaction.atomic():
        job = moves.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).select_for_update().last()
        if latest is None or not latest.is_open:
            raise JobEnded(f"Job {job_id} is {job.status}; its priority has no meaning any more.", status=job.status)
        Job.objects.filter(pk=latest.pk).update(priority=priority, updated_at=Now())
        _record("job.priority", latest, by, reason, before=latest.priority, after=priority)
        latest.refresh_from_db()
    log.info("job_priority_set", **moves.log_fields(latest), by=by, priority=priority, reason=reason)
    return latest


def _record(action: str, job: Job, by: str, reason: str, **details: Any) -> None:
    history.record(
        action, f"job:{job.pk}", by=by, organization_id=job.organization_id, reason=reason,
        **({"rootJobId": job.root_id} | details),
    )  # fmt: skip
