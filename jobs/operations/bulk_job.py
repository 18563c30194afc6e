"""A bulk operation on more jobs than a request has time for: a job of its own, which people see, cancel and retry.

The request writes down the target jobs, so that jobs which come later are not among them. The operation on one job and
the record of its outcome are one transaction: however often the worker is killed, no operation is done twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, QuerySet

from flagsite.core import actor
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.operations.bulk import (
    OPERATIONS,
    BulkOperation,
    BulkResult,
    BulkSelection,
    Jobs,
    do_to_one,
    one_of_each_chain,
)
from jobs.operations.models import BulkTarget
from orgs.audit import audit_log

KIND = "bulk"
DONE = "done"
PRIORITY = 99
"""Higher than waiting jobs have: a person who cancels a long queue does not want to wait at its end."""
READ_AT_ONCE = 500


def start(
    jobs: Jobs,
    operation: BulkOperation,
    chosen: BulkSelection,
    *,
    by: str,
    reason: str,
    priority: int | None = None,
    organization_id: int | None = None,
) -> Job:
    """Start a job that does the operation to every job that it fits now, and return that job.

    `chosen` has the counts that the person has seen. `organization_id` is the organization whose jobs they are; None
    for jobs of all organizations.
    """
    context = actor.current()
    asked = {"deed": operation.name, "by": by, "reason": reason, "priority": priority, "via": context.channel,
             "address": context.address, "skipped": dict(chosen.skipped)}  # fmt: skip
    with transaction.atomic():
        job = lifecycle.create(
            kind=KIND, organization_id=organization_id, arguments=asked, requested_by=by,
            correlation_id=context.correlation_id, priority=PRIORITY,
        )  # fmt: skip
        count = _write_down(job, one_of_each_chain(jobs, operation))
        Job.objects.filter(pk=job.pk).update(total=count)
        details = {"deed": operation.name, "jobs": count} | ({"priority": priority} if priority is not None else {})
        audit_log.record("jobs.bulk", f"job:{job.pk}", by=by, organization_id=organization_id, reason=reason, **details)
    job.refresh_from_db()
    return job


def _write_down(job: Job, target_ids: QuerySet[Job, int]) -> int:
    statement, parameters = target_ids.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO jobs_deedtarget (job_id, target_id, outcome) SELECT %s, latest, '' FROM ({statement}) chosen",  # noqa: S608 - Django's own SQL
            [job.pk, *parameters],
        )
        return int(cursor.rowcount)


@job_kind(KIND)
def do_to_all(run: Run) -> None:
    """Do the operation to one target after the other; the checkpoint counts the jobs done and skipped, by reason."""
    asked = run.job.arguments
    operation = OPERATIONS[asked["deed"]]
    words = {"by": asked["by"], "reason": asked["reason"], "priority": asked["priority"]}
    done = _so_far(run.job)
    left = BulkTarget.objects.filter(job_id=run.job.root_id, outcome="")
    run.record_progress(total=run.job.processed + left.count(), checkpoint=_as_checkpoint(done))
    with actor.acting(asked["via"], address=asked["address"]):
        for target in _in_order(left):
            run.check()
            with transaction.atomic():
                why_not = do_to_one(target.target_id, operation, **words)
                BulkTarget.objects.filter(pk=target.pk).update(outcome=why_not or DONE)
                _count(done, why_not)
                run.record_progress(processed=1, unchanged=int(bool(why_not)), checkpoint=_as_checkpoint(done))


def _in_order(left: Any) -> Iterator[BulkTarget]:
    after = 0
    while batch := list(left.filter(target_id__gt=after).order_by("target_id")[:READ_AT_ONCE]):
        yield from batch
        after = batch[-1].target_id


def _so_far(job: Job) -> BulkResult:
    """The result of earlier attempts, and of the jobs that the request has skipped already."""
    outcomes = BulkTarget.objects.filter(job_id=job.root_id).exclude(outcome="").values_list("outcome")
    counts = Counter(dict(outcomes.annotate(Count("pk"))))
    count = counts.pop(DONE, 0)
    return BulkResult(count, counts + Counter(job.arguments["skipped"]))


def _count(done: BulkResult, why_not: str) -> None:
    if why_not:
        done.skipped[why_not] += 1
    else:
        done.count += 1


def _as_checkpoint(done: BulkResult) -> dict[str, Any]:
    return {"done": done.count, "skipped": dict(done.skipped)}


def report(job: Job) -> BulkResult:
    """The result so far, over all attempts up to this one."""
    found = job.checkpoint or {"done": 0, "skipped": job.arguments["skipped"]}
    return BulkResult(found["done"], Counter(found["skipped"]))
