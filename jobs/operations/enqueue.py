"""Enqueue a job of any kind that people and programs may enqueue. Every channel calls `enqueue`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jsonschema
from django.db import IntegrityError, transaction
from django.utils import timezone

from flagsite.core import actor
from jobs.engine import lifecycle
from jobs.engine.kinds import JobKind, enqueueable_kinds, kind_named
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.errors import InvalidJobArguments, UnknownKind
from orgs.audit import audit_log

PRIORITIES = {Job.Trigger.EVENT: 10, Job.Trigger.ADMIN: 5, Job.Trigger.SCHEDULE: 0}
"""The priority of a job by what has enqueued it, unless the request names another one."""
TRIGGER_CHOICES = [(trigger.value, trigger.label) for trigger in PRIORITIES]
"""What people and programs may name as the trigger of a job, with the words for it."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job that does the work, and whether it was there already because of its unique key."""

    job: Job
    is_deduplicated: bool = False


def enqueue(
    *,
    kind: str,
    arguments: Mapping[str, Any] | None = None,
    trigger: Job.Trigger = Job.Trigger.ADMIN,
    organization_id: int | None = None,
    by: str = "",
    reason: str = "",
    priority: int | None = None,
    run_at: datetime | None = None,
    start_within: timedelta | None = None,
    correlation_id: str = "",
    unique: Uniqueness | None = None,
) -> Enqueued:
    """Check the arguments by the schema of the kind, and create a job, or find the open one with the same unique key.

    `by` is the actor, `organization_id` the organization for which the job works, and `run_at` the time at which the
    job is due; None means now. `priority` None takes the one of the trigger. Raises UnknownKind,
    InvalidJobArguments.
    """
    job_kind = enqueueable(kind)
    values = checked_arguments(job_kind, arguments or {})
    if unique is None and job_kind.unique_key is not None:
        unique = Uniqueness(job_kind.unique_key(values))
    context = actor.current()
    while True:
        try:
            with transaction.atomic():
                job = lifecycle.create(
                    kind=kind,
                    arguments=values,
                    organization_id=organization_id,
                    requested_by=by or context.actor,
                    correlation_id=correlation_id or context.correlation_id,
                    reason=reason,
                    priority=PRIORITIES[trigger] if priority is None else priority,
                    trigger=trigger,
                    wait=max(run_at - timezone.now(), timedelta()) if run_at else timedelta(),
                    start_within=start_within,
                    unique=unique,
                )
                audit_log.record(
                    "job.enqueue", f"job:{job.pk}", by=by or context.actor, organization_id=organization_id,
                    reason=reason, kind=kind, trigger=str(trigger),
                )  # fmt: skip
            return Enqueued(job)
        except IntegrityError:
            if unique is None:
                raise
        same = Job.objects.filter(unique_key=unique.key).first()
        if same is not None:  # else it has ended meanwhile, and the key is free
            return Enqueued(same, is_deduplicated=True)


def enqueueable(kind: str) -> JobKind:
    """Return the kind with this name, if people and programs may enqueue its jobs. Raises UnknownKind."""
    names = [each.name for each in enqueueable_kinds()]
    if kind not in names:
        raise UnknownKind(f"No job of the kind {kind!r} can be enqueued. The kinds are: {', '.join(names)}.")
    return kind_named(kind)


def checked_arguments(kind: JobKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a job with the defaults of the kind's schema. Raises InvalidJobArguments."""
    schema = dict(kind.arguments or {})
    defaults = {
        name: part["default"] for name, part in schema.get("properties", {}).items() if "default" in part
    }  # fmt: skip
    values = defaults | dict(arguments)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    errors = {
        ".".join(["arguments", *map(str, error.absolute_path)]): error.message
        for error in validator.iter_errors(values)
    }
    if errors:
        raise InvalidJobArguments(" ".join(f"{name}: {message}" for name, message in sorted(errors.items())))
    return values
