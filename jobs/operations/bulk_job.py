"""Bulk operations on more jobs than one request can handle: a job of its own, which people can see, cancel and retry.

The request stores the target jobs, so that later jobs are not among them. The operation on one job and the record of
its outcome are one transaction. Therefore no operation is done twice, however often the worker is killed.

The job may begin long after the request. Each attempt checks first that the requester may still do the operation, and
it skips jobs whose organization has left the subtree of the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, QuerySet

from flagsite.core import actor
from jobs.engine import lifecycle
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.operations import requester_rights
from jobs.operations.bulk import (
    OPERATIONS,
    BulkOperation,
    BulkResult,
    BulkSelection,
    Jobs,
    do_on_one,
    one_of_each_chain,
)
from jobs.operations.models import BulkTarget
from orgs.access.models import Role
from orgs.audit import audit_log
from orgs.tree.paths import path_ids_of

KIND = "bulk"
DONE = "done"
LEFT = "were outside of the subtree by now"
AGAIN = "Somebody who may do the operation can request it again."
PRIORITY = 99
"""Higher than the usual priority of jobs, so that an operation on a long queue does not wait at its end."""
BATCH_SIZE = 500
"""Target jobs that one query reads."""


def start(
    jobs: Jobs,
    operation: BulkOperation,
    selection: BulkSelection,
    *,
    by: str,
    reason: str,
    priority: int | None = None,
    organization_id: int | None = None,
) -> Job:
    """Create the job that does the operation on all of `jobs` to which it applies now, and return this new job.

    `selection` has the counts that the person has confirmed. `organization_id` is the top of the subtree to which
    `jobs` belong; None means jobs of all organizations.
    """
    context = actor.current()
    arguments = {"deed": operation.name, "by": by, "reason": reason, "priority": priority, "via": context.channel,
                 "address": context.address, "skipped": dict(selection.skipped)}  # fmt: skip
    with transaction.atomic():
        job = lifecycle.create(
            kind=KIND, organization_id=organization_id, arguments=arguments, requested_by=by,
            correlation_id=context.correlation_id, priority=PRIORITY,
        )  # fmt: skip
        count = _store_targets(job, one_of_each_chain(jobs, operation))
        Job.objects.filter(pk=job.pk).update(total=count)
        details = {"deed": operation.name, "jobs": count} | ({"priority": priority} if priority is not None else {})
        audit_log.record("jobs.bulk", f"job:{job.pk}", by=by, organization_id=organization_id, reason=reason, **details)
    job.refresh_from_db()
    return job


def _store_targets(job: Job, target_ids: QuerySet[Job, int]) -> int:
    statement, parameters = target_ids.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO jobs_deedtarget (job_id, target_id, outcome) SELECT %s, latest, '' FROM ({statement}) chosen",  # noqa: S608 - Django's own SQL
            [job.pk, *parameters],
        )
        return int(cursor.rowcount)


@job_kind(KIND, stall_seconds=DEFAULT_STALL_SECONDS)
def do_on_all(run: Run) -> None:
    """Do the operation on each target; the checkpoint counts the done jobs, and the skipped jobs for each reason.

    Raises PermanentFailure if the requester may no longer do the operation.
    """
    arguments, top_id = run.job.arguments, run.job.organization_id
    requester_rights.check_may_still(arguments["by"], Role.OPERATOR, organization_id=top_id, again=AGAIN)
    operation = OPERATIONS[arguments["deed"]]
    parameters = {name: arguments[name] for name in ("by", "reason", "priority")}
    result = _result_of_earlier_attempts(run.job)
    remaining = BulkTarget.objects.filter(job_id=run.job.root_id, outcome="")
    run.record_progress(total=run.job.processed + remaining.count(), checkpoint=_as_checkpoint(result))
    with actor.acting(arguments["via"], address=arguments["address"]):
        for target in _in_order(remaining):
            run.check()
            with transaction.atomic():
                has_left = top_id is not None and _has_left(target.target_id, top_id)
                skip_reason = LEFT if has_left else do_on_one(target.target_id, operation, **parameters)
                BulkTarget.objects.filter(pk=target.pk).update(outcome=skip_reason or DONE)
                result.add(skip_reason)
                run.record_progress(processed=1, unchanged=int(bool(skip_reason)), checkpoint=_as_checkpoint(result))


def _has_left(job_id: int, top_id: int) -> bool:
    """Return whether the organization of a job has moved out of the subtree since the request."""
    organization_id = Job.objects.filter(pk=job_id).values_list("organization_id", flat=True).first()
    path = path_ids_of(organization_id) if organization_id is not None else []
    return bool(path) and top_id not in path


def _in_order(remaining: Any) -> Iterator[BulkTarget]:
    after = 0
    while batch := list(remaining.filter(target_id__gt=after).order_by("target_id")[:BATCH_SIZE]):
        yield from batch
        after = batch[-1].target_id


def _result_of_earlier_attempts(job: Job) -> BulkResult:
    """The result of earlier attempts, with the jobs that the request has skipped."""
    outcomes = BulkTarget.objects.filter(job_id=job.root_id).exclude(outcome="").values_list("outcome")
    counts = Counter(dict(outcomes.annotate(Count("pk"))))
    count = counts.pop(DONE, 0)
    return BulkResult(count, counts + Counter(job.arguments["skipped"]))


def _as_checkpoint(result: BulkResult) -> dict[str, Any]:
    return {"done": result.count, "skipped": dict(result.skipped)}


def result_of(job: Job) -> BulkResult:
    """The result so far of all attempts up to this one."""
    checkpoint = job.checkpoint or {"done": 0, "skipped": job.arguments["skipped"]}
    return BulkResult(checkpoint["done"], Counter(checkpoint["skipped"]))
