"""Operations on jobs: cancel, retry and change the priority. The audit log records each operation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now

from jobs.counting import hourly_metrics
from jobs.counting.models import AttemptOutcome
from jobs.engine import chains, transitions, wakeup
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import JobEnded, NotCancellable, NotRetryable
from orgs.audit import audit_log

log = structlog.get_logger(__name__)
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100


def cancel(*, job_id: int, by: str, reason: str = "") -> Job:
    """Cancel the open attempt of the job's chain: a waiting attempt at once, a running attempt at its next chunk.

    If several people cancel a running attempt, the attempt keeps the name and the reason of the first person. Returns
    the open attempt. Raises JobNotFound, or NotCancellable if the chain has ended.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).select_for_update().last()
        if latest is None or not can_be_cancelled(job, latest):
            raise NotCancellable(f"Job {job_id} is {job.status} and cannot be cancelled any more.", status=job.status)
        request: dict[str, Any] = {"cancel_requested_at": Now(), "cancelled_by": by, "cancel_reason": reason}
        _record("job.cancel", latest, by, reason)
        transitions.log_on_commit(
            log.info, "job_cancel_requested", **transitions.log_fields(latest), by=by, reason=reason
        )
        if latest.status == Status.PENDING:
            transitions.end(latest, "cancel", AttemptOutcome.CANCELLED, **request)
            transitions.log_on_commit(log.info, "job_cancelled", **transitions.log_fields(latest), by=by)
        else:
            Job.objects.filter(pk=latest.pk, cancel_requested_at=None).update(updated_at=Now(), **request)
        latest.refresh_from_db()
    return latest


def can_be_cancelled(job: Job, latest: Job) -> bool:
    """Whether the job is open, or is RETRYING while `latest`, the latest attempt of its chain, is open."""
    return latest.is_open and (job.pk == latest.pk or job.status == Status.RETRYING)


def retry(*, job_id: int, by: str, reason: str = "") -> Job:
    """Start a new round of attempts in the job's chain for a person, and return the first attempt of the round.

    The new attempt has the same arguments, and thus the change number of the request that began the chain. If
    organizations failed in the latest attempt, the new attempt covers only the organizations that the latest attempt
    left. Raises JobNotFound, or NotRetryable with the reason.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).last() or job
        chain = chains.chain_of(latest)
        if objection := chain.objection_to_retry:
            they = {"they": "were of organizations that no longer exist"} if chain.lacks_organization else {}
            raise NotRetryable(objection, status=latest.status, **they)
        again = transitions.add_retry(
            latest,
            trigger=Job.Trigger.MANUAL,
            round_attempt=0,
            wait=timedelta(),
            requested_by=by,
            reason=reason,
            only_behind=covers_what_was_left(latest),
        )
        transitions.reopen(job)
        hourly_metrics.add_reopened(latest.pk)
        _record("job.retry", job, by, reason, retryJobId=again.pk)
        hourly_metrics.add_manual_retry(again.pk)
        request = {"originalJobId": job_id, "by": by, "reason": reason}
        transitions.log_on_commit(log.info, "job_manual_retry", **transitions.log_fields(again), **request)
        wakeup.wake(again.queue, job_id=again.pk, kind=again.kind)
    return again


def left_behind(job: Job) -> int | None:
    """The number of organizations that a retry of the job's chain covers; None if it covers the whole subtree."""
    latest = Job.objects.of_chain(job.root_id).last() or job
    if not covers_what_was_left(latest):
        return None
    return max(latest.failed, (latest.total or 0) - latest.processed)


def covers_what_was_left(latest: Job) -> bool:
    """Whether a retry after this attempt covers only the organizations that the attempt left."""
    return latest.only_behind or latest.failed > 0


def set_priority(*, job_id: int, priority: int, by: str, reason: str = "") -> Job:
    """Change the priority of the open attempt of the job's chain, which its retries keep. Return this attempt.

    The waiting job with the highest priority starts first. `priority` is between LOWEST_PRIORITY and
    HIGHEST_PRIORITY. Raises JobNotFound, or JobEnded if the chain has ended.
    """
    with transaction.atomic():
        job = transitions.lock_chain(job_id)
        latest = Job.objects.of_chain(job.root_id).select_for_update().last()
        if latest is None or not latest.is_open:
            raise JobEnded(f"Job {job_id} is {job.status}; its priority has no meaning any more.", status=job.status)
        Job.objects.filter(pk=latest.pk).update(priority=priority, updated_at=Now())
        _record("job.priority", latest, by, reason, before=latest.priority, after=priority)
        latest.refresh_from_db()
        request = {"by": by, "priority": priority, "reason": reason}
        transitions.log_on_commit(log.info, "job_priority_set", **transitions.log_fields(latest), **request)
    return latest


def _record(action: str, job: Job, by: str, reason: str, **details: Any) -> None:
    audit_log.record(
        action, f"job:{job.pk}", by=by, organization_id=job.organization_id, reason=reason,
        **({"rootJobId": job.root_id} | details),
    )  # fmt: skip
