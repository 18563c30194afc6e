"""The end of a batch, and its reopening: what follows when the chain of a member ends or is retried by a person.

Each of these steps happens in the transaction that changes the chain, after the chain is locked: first the row of the
batch is locked, and then the open members are counted by a new statement. So of several last members that end at once
exactly one sees that no other is open, and only this one ends the batch.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.errors import FlagsiteError
from flagsite.core.storable_text import storable
from jobs.batches.members import MemberCounts, count_now, jobs_of_members
from jobs.batches.models import Batch, BatchOutcome, FailurePolicy
from jobs.counting import counters
from jobs.engine import lifecycle, transitions
from jobs.engine.batch_part import BatchRole, batch_rule
from jobs.engine.kinds import kind_named, known_kinds, no_code_for
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.maintenance import maintenance_task
from jobs.engine.models import Job
from jobs.engine.states import OPEN, Status
from jobs.errors import BatchNotFound
from jobs.notifications.events import BATCH_ENDED, notify
from jobs.operations import bulk, bulk_job
from jobs.operations.bulk import OPERATIONS

log = structlog.get_logger(__name__)
LOCK_AND_LOOK = """
SELECT FROM jobs_batch WHERE id = %(batch)s FOR NO KEY UPDATE;
SELECT EXISTS (SELECT FROM jobs_job  -- index open_job_of_batch
                WHERE batch_id = %(batch)s AND status IN ('PENDING', 'IN_PROGRESS'))
"""
MOST_HEALED = 100
"""The most batches that one run of `heal` ends."""
LATE = timedelta(days=1)
"""For so long after the end of a batch, a job may follow that the worker could not create."""


def locked(batch_id: int) -> Batch:
    """Lock the row of the batch, after the chains that the transaction changes, and return it. Raises BatchNotFound."""
    batch = _lock(batch_id)
    if batch is None:
        raise BatchNotFound
    return batch


@batch_rule
def follow(job: Job, status: Status) -> None:
    """End or reopen the batch of a job whose chain has got this status, or stop its other members."""
    batch_id = job.batch_id or 0
    others_are_open = _lock_and_look(batch_id)
    if others_are_open and status in {Status.COMPLETED, Status.CANCELLED}:
        return
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:  # the end of the job matters more than a batch that somebody has deleted
        return
    if status == Status.RETRYING:
        if not batch.is_open:
            reopen(batch)
        return
    if end_if_done(batch) or batch.failure_policy == FailurePolicy.WAIT_FOR_ALL or batch.is_stopping:
        return
    if status == Status.FAILED and job.batch_role != BatchRole.OPERATION:
        _stop(batch, failed=job)


def end_if_done(batch: Batch) -> bool:
    """End the batch, whose row the caller has locked, if none of its chains is open. Returns whether it has ended now.

    The job that has to follow is created in the same transaction.
    """
    if not batch.is_open or Job.objects.filter(batch=batch, status__in=sorted(OPEN)).exists():
        return False
    counts = count_now([batch.pk])[batch.pk]
    outcome = outcome_of(batch, counts)
    columns: dict[str, Any] = {
        name: getattr(counts, name) for name in ("succeeded", "partial", "failed", "cancelled")
    }  # fmt: skip
    Batch.objects.filter(pk=batch.pk).update(outcome=outcome, finished_at=Now(), **columns, **_follower(batch))
    transaction.on_commit(partial(counters.add, f"batches_{outcome.lower()}"), robust=True)
    transitions.log_on_commit(log.info, "batch_finished", **_fields(batch), outcome=str(outcome), **columns)
    notify(
        BATCH_ENDED,
        f"Batch {batch.pk} ({batch.name}) has ended as {outcome}.",
        subject=f"batch:{batch.pk}",
        organization_id=batch.organization_id,
        page=("admin:jobs_batch_change", batch.pk),
        batchId=batch.pk,
        name=batch.name,
        outcome=str(outcome),
        **columns,
    )
    return True


def outcome_of(batch: Batch, counts: MemberCounts) -> BatchOutcome:
    """Return the outcome of a batch without open members. A member that somebody has deleted did not succeed."""
    if counts.succeeded == batch.total:
        return BatchOutcome.SUCCEEDED
    if counts.cancelled and (batch.cancel_requested_at or counts.cancelled == counts.ended):
        return BatchOutcome.CANCELLED
    if counts.required_lost or counts.succeeded + counts.partial == 0:
        return BatchOutcome.FAILED
    return BatchOutcome.PARTIAL


def reopen(batch: Batch) -> None:
    """Open an ended batch, whose row the caller has locked, again: the next generation begins."""
    Batch.objects.filter(pk=batch.pk).update(
        generation=F("generation") + 1,
        outcome="",
        finished_at=None,
        **dict.fromkeys(("succeeded", "partial", "failed", "cancelled", "stopped_at", "cancel_requested_at")),
        **dict.fromkeys(("cancelled_by", "cancel_reason", "callback_error"), ""),
    )
    batch.refresh_from_db()
    transitions.log_on_commit(log.info, "batch_reopened", **_fields(batch))


@maintenance_task
def heal() -> int:
    """End each batch that has no open chain and no outcome. Returns their number.

    The engine ends a batch together with its last member. So this finds something only if rows were changed past the
    engine. Then the jobs follow that could not be created because the worker did not know their kind.
    """
    _follow_late()
    open_jobs = Job.objects.filter(batch_id=OuterRef("pk"), status__in=sorted(OPEN))
    stalled = Batch.objects.filter(~Exists(open_jobs), finished_at=None).order_by("pk")
    healed = 0
    for batch_id in list(stalled.values_list("pk", flat=True)[:MOST_HEALED]):
        with transaction.atomic():
            batch = _lock(batch_id)
            if batch is not None and end_if_done(batch):
                healed += 1
                transitions.log_on_commit(log.warning, "batch_healed", **_fields(batch))
    return healed


def _follow_late() -> None:
    """Create the jobs that should have followed batches that ended in a worker of an older release.

    Such a worker does not know a new kind. This process knows it, and the unique key of the job lets one process create
    it only.
    """
    ended = Batch.objects.filter(
        finished_at__gte=Now() - LATE, callback_job_id=None, on_finish_kind__in=known_kinds()
    ).exclude(callback_error="")
    for batch_id, kind, error in list(ended.values_list("pk", "on_finish_kind", "callback_error")[:MOST_HEALED]):
        if error != no_code_for(kind):
            continue
        with transaction.atomic():
            batch = _lock(batch_id)
            if batch is not None and not batch.is_open and batch.callback_error == error:
                Batch.objects.filter(pk=batch_id).update(**_follower(batch))


def _lock_and_look(batch_id: int) -> bool:
    """Lock the batch, and then return whether one of its chains is open; two statements in one round trip.

    At the level READ COMMITTED, the second statement sees what was committed while the first waited for the lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_AND_LOOK, {"batch": batch_id})
        cursor.nextset()
        return bool(cursor.fetchone()[0])


def _lock(batch_id: int) -> Batch | None:
    return Batch.objects.select_for_update(no_key=True).filter(pk=batch_id).first()


def _follower(batch: Batch) -> dict[str, Any]:
    """Create the job that follows the end of this generation, and return what the row of the batch says about it."""
    if not batch.on_finish_kind:
        return {}
    try:
        with transaction.atomic():
            job = _create_follower(batch)
    except Exception as error:  # the members have ended all the same
        if transient_errors.is_transient(error):
            raise
        words = storable(error.detail if isinstance(error, FlagsiteError) else f"{type(error).__name__}: {error}")
        transitions.log_on_commit(log.error, "batch_callback_failed", **_fields(batch), error=words)
        return {"callback_job_id": None, "callback_error": words}
    return {"callback_job_id": job.pk, "callback_error": ""}


def _create_follower(batch: Batch) -> Job:
    return lifecycle.create(
        kind=batch.on_finish_kind,
        organization_id=batch.organization_id,
        arguments=_arguments_of_follower(batch),
        requested_by=batch.requested_by,
        correlation_id=batch.correlation_id,
        priority=batch.priority,
        trigger=Job.Trigger(batch.trigger),
        unique=Uniqueness(f"batch:{batch.pk}:{batch.generation}:finish"),
    )


def _arguments_of_follower(batch: Batch) -> dict[str, Any]:
    """The arguments of the callback, with `batchId` and `generation` if the schema of its kind has such properties."""
    properties = kind_named(batch.on_finish_kind).argument_names
    known = {"batchId": batch.pk, "generation": batch.generation}
    return batch.on_finish_arguments | {name: value for name, value in known.items() if name in properties}


def _stop(batch: Batch, *, failed: Job) -> None:
    """Let a bulk operation cancel the members that are still open, because the member `failed` has failed."""
    Batch.objects.filter(pk=batch.pk).update(stopped_at=Now())
    jobs, operation = jobs_of_members(batch), OPERATIONS["cancel"]
    reason = f"Batch {batch.pk} stops at its first failure: job {failed.pk}."
    bulk_job.start(
        jobs,
        operation,
        bulk.count_selection(jobs, operation),
        by=actor.SYSTEM,
        reason=reason,
        organization_id=batch.organization_id,
    )
    transitions.log_on_commit(log.warning, "batch_stopped", **_fields(batch), failedJobId=failed.pk)


def _fields(batch: Batch) -> dict[str, Any]:
    """Return the log fields that every event about a batch has."""
    return {
        "batchId": batch.pk,
        "generation": batch.generation,
        "organizationId": batch.organization_id,
        "correlationId": batch.correlation_id,
    }
