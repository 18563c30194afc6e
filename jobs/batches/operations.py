"""Operations of people on batches: retry what failed, and cancel. The audit log records each operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from flagsite.core.ids import MAX_ID
from jobs.batches.ending import locked, reopen
from jobs.batches.members import jobs_of_members, open_chains
from jobs.batches.models import Batch
from jobs.engine import transitions
from jobs.engine.batch_part import BatchRole
from jobs.engine.models import Job
from jobs.errors import BatchEnded, BatchNotFound, BatchNotRetryable
from jobs.operations import bulk, bulk_job
from jobs.operations.bulk import MAX_JOBS_IN_REQUEST, OPERATIONS, BulkResult
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.audit import audit_log

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchOperation:
    """What an operation on the members of a batch has done: the batch, its result, and the job that does the rest."""

    batch: Batch
    result: BulkResult
    job: Job | None = None


def batches_of(caller: Caller) -> QuerySet[Batch]:
    """Return the batches that the caller may see, which are the batches of the organizations in the caller's scope."""
    if caller.organization_id is None:
        return Batch.objects.all()
    return Batch.objects.filter(organization_id__in=visible_organizations(caller).values("pk"))


def batch_for(caller: Caller, batch_id: int) -> Batch:
    """Return the batch, if it exists and the caller may see it. Raises BatchNotFound in both other cases."""
    batch = batches_of(caller).filter(pk=batch_id).first() if 0 < batch_id <= MAX_ID else None
    if batch is None:
        raise BatchNotFound
    return batch


def retry_failed_members(batch_id: int, *, by: str, reason: str = "") -> BatchOperation:
    """Start a new round for each member that failed, or that failed for some organizations.

    If the batch has ended, it is open again afterwards, with the next generation. For more than MAX_JOBS_IN_REQUEST
    members a bulk operation does it, as a part of the batch, so that the batch cannot end before the last member is
    retried. Raises BatchNotFound, or BatchNotRetryable if no member can be retried.
    """
    with transaction.atomic():
        if _failed(batch_id).count() <= MAX_JOBS_IN_REQUEST:
            done = _retry_now(batch_id, by=by, reason=reason)
        else:
            done = _retry_by_job(batch_id, by=by, reason=reason)
        _record("batch.retry", done.batch, by, reason, members=done.job.total if done.job else done.result.count)
    return done


def cancel(batch_id: int, *, by: str, reason: str = "") -> BatchOperation:
    """Cancel each open member: a waiting one at once, a running one at its next chunk.

    For more than MAX_JOBS_IN_REQUEST members a bulk operation does it. Cancelling a batch that is being cancelled does
    it again for the members that are still open. Raises BatchNotFound, or BatchEnded if the batch has ended.
    """
    while True:
        with transaction.atomic():
            known = open_chains(Batch(pk=batch_id))
            is_large = len(known) > MAX_JOBS_IN_REQUEST
            if not is_large:
                transitions.lock_chains(known)
            batch = locked(batch_id)
            if not batch.is_open:
                raise BatchEnded(f"Batch {batch_id} has ended: {batch.outcome}.")
            if not is_large and not open_chains(batch) <= known:
                continue  # members were added meanwhile; from here on, none can be added
            _mark_cancelled(batch, by=by, reason=reason)
            if is_large:
                result, job = BulkResult(), _start("cancel", batch, by=by, reason=reason)
            else:
                result, job = bulk.do_on_each(sorted(known), OPERATIONS["cancel"], by=by, reason=reason), None
            _record("batch.cancel", batch, by, reason, members=job.total if job else result.count)
        batch.refresh_from_db()
        return BatchOperation(batch, result, job)


def _retry_now(batch_id: int, *, by: str, reason: str) -> BatchOperation:
    """Retry in the caller's transaction. All chains are locked before the batch, as everywhere."""
    chosen = dict(_failed(batch_id).values_list("pk", "parent_job_id"))
    transitions.lock_chains(parent or pk for pk, parent in chosen.items())
    result = bulk.do_on_each(sorted(chosen), OPERATIONS["retry"], by=by, reason=reason)
    batch = locked(batch_id)
    if not result.count:
        raise BatchNotRetryable(f"No member of batch {batch_id} has failed. Cancelled members are not retried.")
    return BatchOperation(batch, result)


def _retry_by_job(batch_id: int, *, by: str, reason: str) -> BatchOperation:
    batch = locked(batch_id)
    if not batch.is_open:
        reopen(batch)
    job = _start("retry", batch, by=by, reason=reason)
    Job.objects.filter(pk=job.pk).update(batch=batch, batch_role=BatchRole.OPERATION)
    return BatchOperation(batch, BulkResult(), job)


def _failed(batch_id: int) -> QuerySet[Job]:
    """The latest attempts of the members that a person may retry."""
    jobs, operation = jobs_of_members(Batch(pk=batch_id)), OPERATIONS["retry"]
    return Job.objects.filter(pk__in=bulk.one_of_each_chain(jobs, operation))


def _start(name: str, batch: Batch, *, by: str, reason: str) -> Job:
    jobs, operation = jobs_of_members(batch), OPERATIONS[name]
    selection = bulk.count_selection(jobs, operation)
    return bulk_job.start(jobs, operation, selection, by=by, reason=reason, organization_id=batch.organization_id)


def _mark_cancelled(batch: Batch, *, by: str, reason: str) -> None:
    """Keep the name and the reason of the first person who cancels the batch."""
    request: dict[str, Any] = {"cancel_requested_at": Now(), "cancelled_by": by, "cancel_reason": reason}
    Batch.objects.filter(pk=batch.pk, cancel_requested_at=None).update(**request)


def _record(action: str, batch: Batch, by: str, reason: str, **details: Any) -> None:
    audit_log.record(
        action, f"batch:{batch.pk}", by=by, organization_id=batch.organization_id, reason=reason,
        generation=batch.generation, **details,
    )  # fmt: skip
