"""Create batches, and add members to open ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F

from flagsite.core import actor
from jobs.batches.ending import end_if_done, locked
from jobs.batches.models import Batch, FailurePolicy
from jobs.engine import backoff, lifecycle, transitions
from jobs.engine.batch_part import BatchRole
from jobs.engine.kinds import JobKind, kind_named
from jobs.engine.models import Job, Queue
from jobs.engine.new_jobs import create_many
from jobs.errors import BatchEnded, InvalidBatch, InvalidJobArguments
from jobs.operations.enqueue import PRIORITIES, RequestChecks, checked_arguments, own_key, work_for_all
from orgs.audit import audit_log
from orgs.tree.models import Organization

log = structlog.get_logger(__name__)
ADDED_TO_CALLBACK = {"batchId", "generation"}
"""The arguments of a callback that the end of the batch adds, if the schema of the kind has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member that a batch shall have. Its chain begins with a job of this kind.

    `organization_id` None takes the organization of the batch if the kind works for one organization. The job is due at
    `run_at`; None means now.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    organization_id: int | None = None
    name: str = ""
    is_required: bool = False
    run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """The kind and the arguments of the job that follows the end of each generation of a batch.

    Flagsite adds `batchId` and `generation` if the schema of the kind has these properties.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedBatch:
    """The batch, and whether it was there already because of its key."""

    batch: Batch
    is_deduplicated: bool = False


def create_batch(
    name: str,
    members: Iterable[Member] = (),
    *,
    key: str = "",
    organization_id: int | None = None,
    failure_policy: FailurePolicy = FailurePolicy.WAIT_FOR_ALL,
    on_finish: Callback | None = None,
    trigger: Job.Trigger = Job.Trigger.ADMIN,
    priority: int | None = None,
    by: str = "",
    reason: str = "",
    correlation_id: str = "",
) -> CreatedBatch:
    """Create a batch with its members in one transaction, or find the open one with the same key and organization.

    A batch without members ends at once. `organization_id` is the organization of the batch; then every member works
    for an organization of its subtree. `priority` None takes the one of the trigger. `by` is the actor. Raises
    UnknownKind, UnknownQueue, InvalidJobArguments, InvalidBatch.
    """
    members, context = list(members), actor.current()
    batch = Batch(
        name=name,
        key=key,
        organization_id=organization_id,
        failure_policy=failure_policy,
        on_finish_kind=on_finish.kind if on_finish else "",
        on_finish_arguments=_arguments_of(on_finish, organization_id, by or context.actor) if on_finish else {},
        trigger=trigger,
        priority=PRIORITIES.get(trigger, 0) if priority is None else priority,
        requested_by=by or context.actor,
        correlation_id=correlation_id or context.correlation_id,
        reason=reason,
        total=len(members),
    )
    while True:
        batch.pk = None
        try:
            with transaction.atomic():
                batch.save(force_insert=True)
                _insert(batch, members)
                audit_log.record(
                    "batch.create", f"batch:{batch.pk}", by=batch.requested_by, organization_id=organization_id,
                    reason=reason, name=name, members=len(members),
                )  # fmt: skip
                transitions.log_on_commit(log.info, "batch_created", batchId=batch.pk, members=len(members), name=name)
                end_if_done(batch)
            batch.refresh_from_db()
            return CreatedBatch(batch)
        except IntegrityError:
            if not key:
                raise
        same = Batch.objects.filter(key=key, finished_at=None, generation=1, **_of(organization_id)).first()
        if same is not None:  # else it has ended meanwhile, and the key is free
            return CreatedBatch(same, is_deduplicated=True)


def add_members(batch_id: int, members: Iterable[Member], *, by: str = "", reason: str = "") -> Batch:
    """Add members to an open batch in one transaction, and return the batch.

    Raises BatchNotFound, BatchEnded if the batch has ended or is being cancelled, and the errors of `create_batch`.
    """
    members = list(members)
    with transaction.atomic():
        batch = locked(batch_id)
        if not batch.is_open:
            raise BatchEnded(
                f"Batch {batch_id} has ended: {batch.outcome}. Create another batch, or retry its members."
            )
        if batch.is_stopping:
            raise BatchEnded(f"Batch {batch_id} is being cancelled, and takes no more members.")
        _insert(batch, members)
        Batch.objects.filter(pk=batch_id).update(total=F("total") + len(members))
        audit_log.record(
            "batch.add", f"batch:{batch_id}", by=by or actor.current().actor, organization_id=batch.organization_id,
            reason=reason, members=len(members),
        )  # fmt: skip
    batch.refresh_from_db()
    return batch


def _of(organization_id: int | None) -> dict[str, Any]:
    return {"organization_id": organization_id} if organization_id else {"organization_id__isnull": True}


def _insert(batch: Batch, members: Sequence[Member]) -> None:
    """Store the first jobs of the members."""
    kinds = {name: kind_named(name) for name in dict.fromkeys(member.kind for member in members)}
    queues = {queue: transitions.queue_named(queue) for queue in {kind.queue for kind in kinds.values()}}
    checks = RequestChecks(batch.requested_by)
    jobs = [
        _job(batch, member, number=number, kind=kinds[member.kind], queues=queues, checks=checks)
        for number, member in enumerate(members)
    ]
    _check_organizations(batch, {job.organization_id for job in jobs if job.organization_id is not None})
    keys = [job.unique_key for job in jobs if job.unique_key is not None]
    if keys:
        _check_unique(keys)
    try:
        with transaction.atomic():
            create_many(jobs)
    except IntegrityError:  # another transaction has created such a job meanwhile
        _check_unique(keys)
        raise
    for job in jobs:
        created = kinds[job.kind].created
        if created is not None:
            created(job)


def _job(
    batch: Batch, member: Member, *, number: int, kind: JobKind, queues: Mapping[str, Queue], checks: RequestChecks
) -> Job:
    organization_id = member.organization_id
    if organization_id is not None and not kind.of_organization:
        raise InvalidJobArguments({f"members.{number}.organizationId": work_for_all(kind)})
    if organization_id is None and kind.of_organization:
        organization_id = batch.organization_id
    try:
        arguments = _arguments(kind, member.arguments)
        checks.check(kind, arguments, organization_id=organization_id)
    except InvalidJobArguments as error:
        raise error.below(f"members.{number}") from error
    key = own_key(kind, arguments, member.run_at)
    return lifecycle.new_job(
        kind,
        kind.queue,
        max_retries=backoff.retries_allowed(kind.name, queues[kind.queue]),
        arguments=arguments,
        organization_id=organization_id,
        batch=batch,
        batch_role=BatchRole.REQUIRED if member.is_required else BatchRole.MEMBER,
        member_name=member.name,
        priority=batch.priority,
        trigger=batch.trigger,
        requested_by=batch.requested_by,
        correlation_id=batch.correlation_id,
        reason=batch.reason,
        unique_key=key,
        unique_while="" if key is None else Job.Uniqueness.OPEN,
        run_at=member.run_at,
    )


def _arguments(kind: JobKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked arguments; those of a kind without a schema come from Flagsite's own code."""
    return dict(arguments) if kind.arguments is None else checked_arguments(kind, arguments)


def _check_unique(keys: Sequence[str]) -> None:
    """Check that no two jobs have one unique key. Raises InvalidBatch."""
    taken = {key for key, count in Counter(keys).items() if count > 1}
    taken |= {str(key) for key in Job.objects.filter(unique_key__in=keys).values_list("unique_key", flat=True)}
    if taken:
        raise InvalidBatch(
            "Only one such job can be open at a time, and there is another one: " + ", ".join(sorted(taken)[:10]) + "."
        )


def _arguments_of(callback: Callback, organization_id: int | None, by: str) -> dict[str, Any]:
    """Return the checked arguments of a callback without the ones that the end of the batch adds.

    The kind of the callback checks the request now, so that no batch ends with a callback that cannot succeed.
    """
    kind = kind_named(callback.kind)
    added = dict.fromkeys(ADDED_TO_CALLBACK & kind.argument_names, 1)
    try:
        values = _arguments(kind, {**callback.arguments, **added})
        RequestChecks(by).check(kind, values, organization_id=organization_id)
    except InvalidJobArguments as error:
        raise error.below("onFinish") from error
    return {name: value for name, value in values.items() if name not in added}


def _check_organizations(batch: Batch, ids: set[int]) -> None:
    """Check that the members work for organizations of the batch's subtree. Raises InvalidBatch."""
    if batch.organization_id is None or ids <= {batch.organization_id}:
        return
    top = Organization.objects.get(pk=batch.organization_id)
    inside = set(Organization.objects.under(top).filter(pk__in=ids).values_list("pk", flat=True))
    if outside := ids - inside:
        raise InvalidBatch(
            f"The batch belongs to organization {top.pk}, and these organizations of its members are not below it: "
            f"{', '.join(map(str, sorted(outside)[:10]))}."
        )
