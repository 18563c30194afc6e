"""Doing the same to more jobs than a request has time for: a job itself, so that it is seen, cancelled and retried.

To whom is written down when a person asks, so that nothing which comes later is among them. What is done to one, and
that it was done, are one transaction: however often the worker is killed, nothing is done twice.
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
from jobs.operations.models import DeedTarget
from orgs.audit import audit_log

KIND = "bulk"
DONE = "done"
PRIORITY = 99
"""It passes all that waits: who cancels a long line does not want to wait at its end."""
READ_AT_ONCE = 500


def start(
    jobs: Jobs,
    deed: BulkOperation,
    chosen: BulkSelection,
    *,
    by: str,
    reason: str,
    priority: int | None = None,
    organization_id: int | None = None,
) -> Job:
    """Have the deed done to all of the jobs that it can be done to, as they are now; returns the job that does it.

    `chosen` is what was counted of them; `organization_id` is whose the new job is, None for everybody's.
    """
    context = actor.current()
    asked = {"deed": deed.name, "by": by, "reason": reason, "priority": priority, "via": context.channel,
             "address": context.address, "skipped": dict(chosen.skipped)}  # fmt: skip
    with transaction.atomic():
        job = lifecycle.create(
            kind=KIND, organization_id=organization_id, arguments=asked, requested_by=by,
            correlation_id=context.correlation_id, priority=PRIORITY,
        )  # fmt: skip
        count = _write_down(job, one_of_each_chain(jobs, deed))
        Job.objects.filter(pk=job.pk).update(total=count)
        details = {"deed": deed.name, "jobs": count} | ({"priority": priority} if priority is not None else {})
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
    """Do it to one job after the other; the checkpoint counts what was done and what was passed over, and why."""
    asked = run.job.arguments
    deed = OPERATIONS[asked["deed"]]
    words = {"by": asked["by"], "reason": asked["reason"], "priority": asked["priority"]}
    done = _so_far(run.job)
    left = DeedTarget.objects.filter(job_id=run.job.root_id, outcome="")
    run.record_progress(total=run.job.processed + left.count(), checkpoint=_as_checkpoint(done))
    with actor.acting(asked["via"], address=asked["address"]):
        for target in _in_order(left):
            run.check()
            with transaction.atomic():
                why_not = do_to_one(target.target_id, deed, **words)
                DeedTarget.objects.filter(pk=target.pk).update(outcome=why_not or DONE)
                _count(done, why_not)
                run.record_progress(processed=1, unchanged=int(bool(why_not)), checkpoint=_as_checkpoint(done))


def _in_order(left: Any) -> Iterator[DeedTarget]:
    after = 0
    while batch := list(left.filter(target_id__gt=after).order_by("target_id")[:READ_AT_ONCE]):
        yield from batch
        after = batch[-1].target_id


def _so_far(job: Job) -> BulkResult:
    """What earlier attempts have done; those that it could not be done to from the beginning are in the request."""
    outcomes = DeedTarget.objects.filter(job_id=job.root_id).exclude(outcome="").values_list("outcome")
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
    """What has come of it so far, over all attempts up to this one."""
    found = job.checkpoint or {"done": 0, "skipped": job.arguments["skipped"]}
    return BulkResult(found["done"], Counter(found["skipped"]))
