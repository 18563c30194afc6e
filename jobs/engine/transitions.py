"""The transitions of a job's status: the only module that writes `Job.status`, by `jobs.engine.states.TRANSITIONS`.

`jobs.engine.lifecycle` (what workers do) and `jobs.operations` (what people do) are made of these. A step that touches
several attempts of a chain locks the first one's row first, so that of two steps on one chain the second sees what
the first has done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobs.counting import hourly_metrics
from jobs.counting.models import AttemptOutcome
from jobs.engine.models import Job, Queue
from jobs.engine.states import TRANSITIONS, Guard, Status
from jobs.errors import JobNotFound, LeaseLost, TransitionRefused, UnknownQueue


def queue_named(name: str) -> Queue:
    """The queue of that name. Raises UnknownQueue."""
    queue = Queue.objects.filter(name=name).first()
    if queue is None:
        raise UnknownQueue(f"There is no queue {name!r}.")
    return queue


def lock_chain(job_id: int) -> Job:
    """Lock the first job of the chain, then read the job. Raises JobNotFound."""
    parent_id = Job.objects.filter(pk=job_id).values_list("parent_job_id", flat=True).first()
    Job.objects.select_for_update().filter(pk=parent_id or job_id).first()
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def transition(job_id: int, name: str, *, lease: UUID | None = None, **columns: Any) -> None:
    """Perform one move by compare-and-set. Raises LeaseLost or MoveRefused when it finds another state."""
    transition = TRANSITIONS[name]
    rows = Job.objects.filter(pk=job_id, status=transition.source)
    if transition.guard is Guard.LEASE:
        rows = rows.filter(lease_token=lease)
    elif transition.guard is Guard.EXPIRED:
        rows = rows.expired()
    if transition.source is Status.IN_PROGRESS:
        columns |= {"lease_token": None, "lease_expires_at": None}
    if rows.update(status=transition.target, updated_at=Now(), **columns) != 1:
        if transition.guard is Guard.LEASE:
            raise LeaseLost
        raise TransitionRefused(f"Job {job_id} is no longer {transition.source}.")


def transition_all(name: str, root_id: int) -> None:
    """Perform one move on every attempt of the chain that it applies to."""
    transition = TRANSITIONS[name]
    Job.objects.of_chain(root_id).filter(status=transition.source).order_by().update(
        status=transition.target, updated_at=Now()
    )


def end(
    job: Job, name: str, outcome: AttemptOutcome, *, lease: UUID | None = None, rescued: bool = False, **columns: Any
) -> None:
    """Perform a move that ends the chain: what was RETRYING shows how its own attempt ended, and this one is counted.

    Raises what `move` raises.
    """
    transition(job.pk, name, lease=lease, completed_at=Now(), **columns)
    transition_all("settle", job.root_id)
    hourly_metrics.add(job.pk, outcome, ends_chain=True, rescued=rescued)


def add_retry(
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
        max_retries=queue_named(job.queue).max_retries,
        requested_by=requested_by,
        reason=reason,
        correlation_id=job.correlation_id,
        trace_context=job.trace_context,
        run_at=Now() + wait,
    )
    Job.objects.filter(pk=root.pk).update(retry_count=number, updated_at=Now())
    again.refresh_from_db()
    return again


def say(log: Callable[..., Any], event: str, **fields: Any) -> None:
    """Log what has happened, once it is committed: what is rolled back, or done again, is not said."""
    transaction.on_commit(partial(log, event, **fields))


def log_fields(job: Job) -> dict[str, Any]:
    """What every log line about a job carries."""
    return {
        "jobId": job.pk,
        "rootJobId": job.root_id,
        "organizationId": job.organization_id,
        "correlationId": job.correlation_id,
        "queue": job.queue,
    }
