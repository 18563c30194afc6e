"""Forgetting jobs that ended long ago: a job itself, so that it is seen, cancelled and goes on after a crash.

A chain goes as a whole, and only when nothing of it is open: one that COMPLETED or was CANCELLED
JOBS_KEEP_COMPLETED_DAYS after its end, one that FAILED for good JOBS_KEEP_FAILED_DAYS after it. What else grows old,
the apps above add to `also`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, models, transaction

from flagsite.core import actor
from jobs.counting import hourly_metrics
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import OPEN
from jobs.errors import CancelRequested
from orgs.audit import audit_log

log = structlog.get_logger(__name__)

KIND = "cleanup"
BEGINNING: dict[str, Any] = {"after": 0, "deleted": {}}
LOOKED_AT_ONCE = 2000
"""First jobs of chains that one short transaction looks at."""
OLD = """
   root.parent_job_id IS NULL AND root.id <> %(itself)s AND (
       (last.status IN ('COMPLETED', 'CANCELLED')
         AND last.completed_at < statement_timestamp() - %(completed)s * interval '1 day')
    OR (last.status = 'FAILED' AND last.completed_at < statement_timestamp() - %(failed)s * interval '1 day'))
"""
LAST = """
  LEFT JOIN jobs_job retry ON retry.parent_job_id = root.id AND retry.retry_count = root.retry_count
 CROSS JOIN LATERAL (  -- index one_retry_of_each_number
    SELECT COALESCE(retry.status, root.status) AS status,
           CASE WHEN retry.id IS NULL THEN root.completed_at ELSE retry.completed_at END AS completed_at) last
"""
COUNT = f"SELECT last.status, count(*) FROM jobs_job root {LAST} WHERE {OLD} GROUP BY last.status"  # noqa: S608
NEXT_ROOTS = """
SELECT id, created_at < statement_timestamp() - %(least)s * interval '1 day' FROM jobs_job
 WHERE parent_job_id IS NULL AND id > %(after)s ORDER BY id LIMIT %(most)s
"""
HOLD = "SELECT id FROM jobs_job WHERE id = ANY(%(roots)s) ORDER BY id FOR UPDATE SKIP LOCKED"
OLD_ONES = f"SELECT root.id FROM jobs_job root {LAST} WHERE root.id = ANY(%(roots)s) AND {OLD}"  # noqa: S608
MEMBERS = """
SELECT id, status FROM jobs_job WHERE id = ANY(%(roots)s)
 UNION ALL
SELECT id, status FROM jobs_job WHERE parent_job_id = ANY(%(roots)s)
"""


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows of an app above that are old at some time; `name` is what reports call them.

    `delete_some` is called in one short transaction after the other: with None, then with what it has returned, until
    that is None. It returns where to go on, and how many rows are gone.
    """

    name: str
    count: Callable[[], int]
    delete_some: Callable[[int | None], tuple[int | None, int]]


also: list[OldRows] = []
"""What a clean-up deletes besides jobs, after them."""


@dataclass(frozen=True, slots=True)
class OldJobs:
    """What a clean-up would delete now: chains by how they ended, and other rows by what they are called."""

    completed: int
    cancelled: int
    failed: int
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def chains(self) -> int:
        return self.completed + self.cancelled + self.failed


def request(*, by: str = "", correlation_id: str = "") -> Job:
    """Have the old jobs deleted by a job; returns it, or the one that is at it already."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('jobs.cleanup'))")
        open_one = Job.objects.filter(kind=KIND, status__in=OPEN).first()
        if open_one is not None:
            return open_one
        job = lifecycle.create(kind=KIND, requested_by=by or actor.current().actor, correlation_id=correlation_id)
        audit_log.record("jobs.cleanup", f"job:{job.pk}", by=by)
    return job


def old_jobs() -> OldJobs:
    """Count what a clean-up would delete now."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, _parameters(itself=0))
        counts: dict[str, int] = dict(cursor.fetchall())
    others = {rows.name: rows.count() for rows in also}
    return OldJobs(counts.get("COMPLETED", 0), counts.get("CANCELLED", 0), counts.get("FAILED", 0), others)


@job_kind(KIND)
def clean_up(run: Run) -> None:
    """Delete old chains, some thousand in each short transaction; `processed` counts the rows that are gone.

    Where it stands and what is gone by then is in the checkpoint; a report is left in the audit log and the log.
    """
    try:
        while _take_step(run):
            run.check()
        for rows in also:
            _delete_all(run, rows)
    except CancelRequested:
        _report(run, is_finished=False)
        raise
    hourly_metrics.merge_old_hours()
    _report(run, is_finished=True)


def _take_step(run: Run) -> bool:
    """Delete what is old of the next chains by id; False when the rest is too young.

    The first jobs are locked, as by everybody who changes a chain, and looked at again once they are: a person may
    have asked for a retry meanwhile. What others hold is left for tomorrow.
    """
    done = run.job.checkpoint or BEGINNING
    with transaction.atomic():
        roots = _rows(NEXT_ROOTS, after=done["after"], most=LOOKED_AT_ONCE)
        if not any(is_old for _, is_old in roots):  # ids rise with time
            return False
        held = [row[0] for row in _rows(HOLD, roots=[root_id for root_id, is_old in roots if is_old])]
        gone = _delete_chains([row[0] for row in _rows(OLD_ONES, roots=held, itself=run.job.root_id)])
        done = {"after": roots[-1][0], "deleted": Counter(done["deleted"]) + gone}
        run.record_progress(processed=gone.total(), checkpoint=done)
    run.job.checkpoint = done
    return True


def _delete_all(run: Run, rows: OldRows) -> None:
    position: int | None = None
    while True:
        done = run.job.checkpoint or BEGINNING
        with transaction.atomic():
            position, count = rows.delete_some(position)
            if count:
                done = {**done, "deleted": Counter(done["deleted"]) + Counter({rows.name: count})}
            run.record_progress(processed=count, checkpoint=done)
        run.job.checkpoint = done
        if position is None:
            return
        run.check()


def _delete_chains(roots: Sequence[int]) -> Counter[str]:
    """Delete whole chains and what hangs on them; returns how many jobs of each status they had.

    Whoever refers to jobs says in the model what becomes of it, as with Django's own delete, which would load every
    row first: records of the job go, others keep their row and lose the link.
    """
    members = _rows(MEMBERS, roots=list(roots))
    ids = sorted(job_id for job_id, _ in members)
    for relation in Job._meta.related_objects:
        if relation.related_model is Job or relation.on_delete is models.DO_NOTHING:
            continue
        referring = relation.related_model._default_manager
        rows = referring.filter(**{f"{relation.field.name}__in": ids})
        if relation.on_delete is models.SET_NULL:
            rows.update(**{relation.field.name: None})
        else:
            rows.delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_job WHERE id = ANY(%s)", [ids])
    return Counter(status for _, status in members)


def _report(run: Run, *, is_finished: bool) -> None:
    done = run.job.checkpoint or BEGINNING
    details: dict[str, Any] = {"deleted": dict(done["deleted"]), "finished": is_finished}
    audit_log.record("jobs.cleaned", f"job:{run.job.pk}", by=run.job.requested_by, **details)
    log.info("old_jobs_deleted", jobId=run.job.pk, **details)


def _rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(**parameters))
        return cursor.fetchall()


def _parameters(**more: Any) -> dict[str, Any]:
    completed, failed = settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS
    return {"completed": completed, "failed": failed, "least": min(completed, failed), **more}
