"""Replace what a waiting job will do by what a later request with the same unique key asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import DateTimeField, Value
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from jobs.engine import at_once, backoff, lifecycle, transitions, wakeup
from jobs.engine.kinds import JobKind
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import InvalidJobArguments
from orgs.audit import audit_log

log = structlog.get_logger(__name__)
REPLACED = (
    "queue", "priority", "organization_id", "arguments", "trigger", "requested_by", "correlation_id", "reason",
    "trace_context", "unique_while", "concurrency_key",
)  # fmt: skip
"""The columns that a waiting job takes from the later request, beside its times and its retries."""


def check_may_be_replaced(kind: JobKind, unique_key: str) -> None:
    """Check that a request for this kind may ask to replace the waiting job. Raises InvalidJobArguments."""
    if not unique_key:
        raise InvalidJobArguments({"replace": "Only a request with a uniqueKey can replace the waiting job."})
    if kind.created is not None:
        words = f"A job of the kind {kind.name} has a file of its own, so it cannot be replaced. Cancel it instead."
        raise InvalidJobArguments({"replace": words})


def replace_waiting(
    kind: JobKind,
    *,
    unique: Uniqueness,
    is_inline: bool,
    queue: str,
    run_at: datetime | None,
    start_within: timedelta | None,
    **columns: Any,
) -> Job | None:
    """Give the job with the unique key what a new job would have, if no attempt of it has begun yet.

    Returns the job, or None if it has begun, has ended, or is a member of a batch. The arguments are those of
    `lifecycle.create`. A claim and a replacement of one job exclude each other, because both change its row. Raises
    UnknownQueue.
    """
    with transaction.atomic():
        settings = transitions.queue_named(queue or kind.queue, hold=True)
        new = lifecycle.new_job(kind, settings.name, unique_while=unique.lasts, **columns)
        due = Now() if run_at is None else Greatest(Now(), Value(run_at, output_field=DateTimeField()))
        waiting = Job.objects.filter(
            unique_key=unique.key, status=Status.PENDING, claims=0, parent_job=None, batch=None
        )  # fmt: skip
        before = waiting.first()
        values = {name: getattr(new, name) for name in REPLACED} | {
            "max_retries": backoff.retries_allowed(kind.name, settings), "updated_at": Now(), "woken_at": None,
            "run_at": due, "start_by": due + start_within if start_within else None,
        }  # fmt: skip
        if before is None or not waiting.filter(pk=before.pk).update(**values):
            return None
        job = Job.objects.get(pk=before.pk)
        audit_log.record(
            "job.replace", f"job:{job.pk}", by=job.requested_by, organization_id=job.organization_id,
            reason=job.reason, kind=kind.name, trigger=str(job.trigger), before=_described(before),
            after=_described(job),
        )  # fmt: skip
        transitions.log_on_commit(log.info, "job_replaced", **transitions.log_fields(job), by=job.requested_by)
        later = max(job.run_at - timezone.now(), timedelta())
        if is_inline:
            transaction.on_commit(partial(at_once.run_at_once, job.pk))
        elif later:
            wakeup.wake_later(job.queue, after=later)
        else:
            wakeup.wake(job.queue, job_id=job.pk, kind=job.kind)
    if is_inline:
        job.refresh_from_db()
    return job


def _described(job: Job) -> dict[str, Any]:
    return {
        "arguments": job.arguments, "runAt": job.run_at.isoformat(), "priority": job.priority, "queue": job.queue,
        "requestedBy": job.requested_by,
    }  # fmt: skip
