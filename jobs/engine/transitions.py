"""Perform the transitions of a job's status. Only this module and `jobs.engine.claiming` write `Job.status`.

The allowed transitions are in `jobs.engine.states.TRANSITIONS`. `jobs.engine.lifecycle` (for workers) and
`jobs.operations` (for people) use this module. Code that changes several attempts of a chain first locks the row of the
chain's first job. Two such changes of one chain therefore run one after the other, and the second sees the result of
the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobs.counting import hourly_metrics
from jobs.counting.models import AttemptOutcome
from jobs.engine import backoff, chain_end
from jobs.engine.batch_part import chain_changed
from jobs.engine.kinds import find_kind
from jobs.engine.models import Job, Queue
from jobs.engine.states import END_OF_EARLIER_ATTEMPTS, REOPENINGS, TRANSITIONS, Guard, Status
from jobs.errors import JobNotFound, LeaseLost, TransitionRefused, UnknownQueue

CARRIED = ("processed", "superseded", "unchanged")
"""The counts that a retry which covers only the rest carries on from the attempts before it."""


HOLD_QUEUE = "SELECT * FROM jobs_queue WHERE name = %s FOR KEY SHARE"


def queue_named(name: str, *, hold: bool = False) -> Queue:
    """Return the queue with this name. Raises UnknownQueue.

    `hold` keeps the queue from being deleted until the caller's transaction ends. Claims do not wait for that.
    """
    queue = next(iter(Queue.objects.raw(HOLD_QUEUE, [name])), None) if hold else Queue.objects.filter(name=name).first()
    if queue is None:
        raise unknown_queue(name)
    return queue


def unknown_queue(name: str) -> UnknownQueue:
    """Return the error for a queue that does not exist, with the names of all queues."""
    names = Queue.objects.order_by("name").values_list("name", flat=True)
    return UnknownQueue(f"There is no queue {name!r}. The queues are: {', '.join(names)}.")


def lock_chain(job_id: int) -> Job:
    """Lock the chain of the job by the row of its first job, then read and return the job. Raises JobNotFound."""
    first = Job.objects.select_for_update().filter(pk=job_id, parent_job=None).first()
    if first is not None:
        return first
    parent_id = Job.objects.filter(pk=job_id).values_list("parent_job_id", flat=True).first()
    Job.objects.select_for_update().filter(pk=parent_id or job_id).first()
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def lock_chains(root_ids: Iterable[int]) -> None:
    """Lock several chains in the order of their ids, before the transaction locks the batch of one of them."""
    list(Job.objects.select_for_update().filter(pk__in=set(root_ids)).order_by("pk").values_list("pk"))


def transition(job_id: int, name: str, *, lease: UUID | None = None, **columns: Any) -> None:
    """Perform the transition `name` and write `columns`, if the job still has the status that the transition needs.

    A transition that needs the lease also checks the fencing token `lease`, and raises LeaseLost if the job does not
    fit. Other transitions raise TransitionRefused.
    """
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


def reopen(job: Job) -> None:
    """Let every ended attempt of the job's chain tell that a later attempt is open."""
    for name in REOPENINGS:
        _transition_all(name, job.root_id)
    chain_changed(job, Status.RETRYING)


def _transition_all(name: str, root_id: int) -> None:
    """Perform the transition `name` on every attempt of the chain that has the source status."""
    transition = TRANSITIONS[name]
    Job.objects.of_chain(root_id).filter(status=transition.source).order_by().update(
        status=transition.target, updated_at=Now()
    )


def end(
    job: Job, name: str, outcome: AttemptOutcome, *, lease: UUID | None = None, rescued: bool = False, **columns: Any
) -> None:
    """Perform a transition that ends the chain, and count the attempt in the hourly metrics.

    RETRYING attempts of the chain get the status with which the chain ends. Raises the same errors as `transition`.
    """
    transition(job.pk, name, lease=lease, completed_at=Now(), unique_key=None, **columns)
    if job.parent_job_id is not None:
        _transition_all(END_OF_EARLIER_ATTEMPTS[TRANSITIONS[name].target], job.root_id)
    chain_changed(job, TRANSITIONS[name].target)
    chain_end.follow(job, TRANSITIONS[name].target, str(columns.get("error_message") or ""))
    hourly_metrics.add(job.pk, outcome, ends_chain=True, rescued=rescued)


LOCK_MEMBER = """
SELECT FROM jobs_job WHERE id = %(ended)s FOR UPDATE;
SELECT FROM jobs_batch WHERE id = %(batch)s FOR NO KEY UPDATE;
"""
OTHERS_ARE_OPEN = """
       AND EXISTS (SELECT FROM jobs_job other  -- index open_job_of_batch
                    WHERE other.batch_id = %(batch)s AND other.status IN ('PENDING', 'IN_PROGRESS')
                      AND other.id <> %(ended)s)
"""
COMPLETE_AT_ONCE = f"""
WITH ended AS (
    UPDATE jobs_job  -- the transition `complete`, for an attempt whose end changes no other row and needs no message
       SET status = 'COMPLETED', updated_at = clock_timestamp(), completed_at = clock_timestamp(), unique_key = NULL,
           error_message = NULL, total = processed, result = %(result)s::jsonb, lease_token = NULL,
           lease_expires_at = NULL
     WHERE id = %(ended)s AND status = 'IN_PROGRESS' AND lease_token = %(ended_lease)s AND parent_job_id IS NULL
       AND failed = 0 AND (processed = 0 OR superseded < processed) {{others_are_open}}
    RETURNING {hourly_metrics.READ_COLUMNS}),
counted AS ({hourly_metrics.ADD_ONLY_ATTEMPT})
SELECT processed, failed, superseded FROM ended;
"""  # noqa: S608 - no input in it


def complete_at_once(job: Job, lease: UUID, result: str | None) -> tuple[str, dict[str, Any]]:
    """Return statements that end a running attempt as COMPLETED and count it, and their parameters.

    `job` is the attempt as it was claimed, and `result` is JSON. The last statement returns the counts of the attempt,
    or no row if it has done nothing: the lease is lost, or the end of this attempt needs the steps of `end`. The
    attempt of a batch is such a one if no other member is open. The statements lock the attempt and then the batch, as
    the rules of batches do.
    """
    is_member = job.batch_id is not None
    complete = COMPLETE_AT_ONCE.format(others_are_open=OTHERS_ARE_OPEN if is_member else "")
    parameters: dict[str, Any] = {"ended": job.pk, "ended_lease": lease, "batch": job.batch_id, "result": result}
    counted = hourly_metrics.parameters(AttemptOutcome.COMPLETED, ends_chain=True)
    return (LOCK_MEMBER if is_member else "") + complete, parameters | counted


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
    """Create the next attempt of the job's chain, which the caller has locked, and return it.

    `round_attempt` is its number in the round, and `wait` the time until it is due. With `only_behind` the retry
    covers only the organizations that an earlier attempt left behind.
    """
    root = Job.objects.get(pk=job.root_id)
    number = root.retry_count + 1
    if job.unique_key is not None:  # the key holds until the chain ends, so it goes on with the retry
        Job.objects.filter(pk=job.pk).update(unique_key=None)
    retry = Job.objects.create(
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
        max_retries=backoff.retries_allowed(job.kind, queue_named(job.queue, hold=trigger == Job.Trigger.MANUAL)),
        requested_by=requested_by,
        reason=reason,
        correlation_id=job.correlation_id,
        trace_context=job.trace_context,
        unique_key=job.unique_key,
        unique_while=job.unique_while,
        concurrency_key=job.concurrency_key,
        batch_id=job.batch_id,
        batch_role=job.batch_role,
        member_name=job.member_name,
        run_at=Now() + wait,
        checkpoint=job.checkpoint if (kind := find_kind(job.kind)) is not None and kind.continues else None,
        **(_carried(job) if only_behind else {}),
    )
    Job.objects.filter(pk=root.pk).update(retry_count=number, updated_at=Now())
    retry.refresh_from_db()
    return retry


def _carried(job: Job) -> dict[str, int]:
    """Return the counts of the organizations that the next attempt leaves out, because earlier attempts wrote them."""
    return {f"carried_{name}": getattr(job, f"carried_{name}") + getattr(job, name) for name in CARRIED}


def log_on_commit(log: Callable[..., Any], event: str, **fields: Any) -> None:
    """Log an event after the commit. Nothing is logged for a transaction that is rolled back."""
    transaction.on_commit(partial(log, event, **fields))


def log_fields(job: Job) -> dict[str, Any]:
    """Return the log fields that every event about a job has. A job without a flag or a value has no such field."""
    names = {"flag": "featureFlagName", "enabled": "enabled"}
    return {
        "jobId": job.pk,
        "rootJobId": job.root_id,
        "organizationId": job.organization_id,
        "correlationId": job.correlation_id,
        "queue": job.queue,
    } | {field: job.arguments[name] for field, name in names.items() if job.arguments.get(name) is not None}
