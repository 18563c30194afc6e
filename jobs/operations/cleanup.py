"""The clean-up, which deletes jobs that ended long ago. It is a job, so that people can see and cancel it.

The clean-up deletes whole chains, and never a chain with an open attempt. It deletes a chain that COMPLETED or was
CANCELLED JOBS_KEEP_COMPLETED_DAYS after the end, and a chain that FAILED JOBS_KEEP_FAILED_DAYS after the end. For a
chain of a batch, the outcome and the end of the batch count. Apps above `jobs` add their own old rows to
`other_old_rows`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, models, transaction

from jobs.counting import hourly_metrics
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, NO_ARGUMENTS, job_kind
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import CancelRequested
from jobs.operations.enqueue import enqueue
from orgs.audit import audit_log

log = structlog.get_logger(__name__)

KIND = "cleanup"
FIRST_CHECKPOINT: dict[str, Any] = {"after": 0, "deleted": {}}
BATCH_SIZE = 2000
"""Chains that one short transaction checks."""
IS_OLD = """
   root.parent_job_id IS NULL AND root.id <> %(itself)s AND CASE WHEN root.batch_id IS NULL THEN
       (last.status IN ('COMPLETED', 'CANCELLED')
         AND last.completed_at < statement_timestamp() - %(completed)s * interval '1 day')
    OR (last.status = 'FAILED' AND last.completed_at < statement_timestamp() - %(failed)s * interval '1 day')
   ELSE EXISTS (  -- a chain of a batch that has ended
       SELECT FROM jobs_batch batch WHERE batch.id = root.batch_id AND batch.finished_at < statement_timestamp()
          - CASE WHEN batch.outcome IN ('SUCCEEDED', 'CANCELLED') THEN %(completed)s ELSE %(failed)s END
            * interval '1 day')
   END
"""
LAST_ATTEMPT = """
  LEFT JOIN jobs_job retry ON retry.parent_job_id = root.id AND retry.retry_count = root.retry_count
 CROSS JOIN LATERAL (  -- index one_retry_of_each_number
    SELECT COALESCE(retry.status, root.status) AS status,
           CASE WHEN retry.id IS NULL THEN root.completed_at ELSE retry.completed_at END AS completed_at) last
"""
COUNT_OLD_CHAINS = f"SELECT last.status, count(*) FROM jobs_job root {LAST_ATTEMPT} WHERE {IS_OLD} GROUP BY last.status"  # noqa: S608
NEXT_CHAINS = """
SELECT id, created_at < statement_timestamp() - %(shortest)s * interval '1 day' FROM jobs_job
 WHERE parent_job_id IS NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""
LOCK_CHAINS = "SELECT id FROM jobs_job WHERE id = ANY(%(roots)s) ORDER BY id FOR UPDATE SKIP LOCKED"
LOCK_BATCHES = """
SELECT id FROM jobs_batch WHERE id IN (SELECT batch_id FROM jobs_job WHERE id = ANY(%(roots)s) AND batch_id IS NOT NULL)
 ORDER BY id FOR NO KEY UPDATE
"""
OLD_CHAINS = f"SELECT root.id FROM jobs_job root {LAST_ATTEMPT} WHERE root.id = ANY(%(roots)s) AND {IS_OLD}"  # noqa: S608
ATTEMPTS = """
SELECT id, status FROM jobs_job WHERE id = ANY(%(roots)s)
 UNION ALL
SELECT id, status FROM jobs_job WHERE parent_job_id = ANY(%(roots)s)
"""


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows of another app that the clean-up deletes when they are old; `name` is their name in reports.

    The clean-up calls `delete_some` in one short transaction after the other. `delete_some` gets a position and returns
    the next position and the number of deleted rows. The first position is None, and a returned None is the end.
    """

    name: str
    count: Callable[[], int]
    delete_some: Callable[[int | None], tuple[int | None, int]]


other_old_rows: list[OldRows] = []
"""The rows that a clean-up deletes after the jobs."""


@dataclass(frozen=True, slots=True)
class OldJobs:
    """The counts of what a clean-up would delete now: chains by the status of their end, and other rows by name."""

    completed: int
    cancelled: int
    failed: int
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def chains(self) -> int:
        return self.completed + self.cancelled + self.failed


def request(*, by: str = "", correlation_id: str = "") -> Job:
    """Create a clean-up job and return it. If a clean-up job is open already, return that one instead."""
    trigger = Job.Trigger.SCHEDULE if by == "schedule" else Job.Trigger.ADMIN
    return enqueue(kind=KIND, trigger=trigger, by=by, correlation_id=correlation_id, unique=Uniqueness(KIND)).job


def old_jobs() -> OldJobs:
    """Count what a clean-up would delete now."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_OLD_CHAINS, _parameters(itself=0))
        counts: dict[str, int] = dict(cursor.fetchall())
    others = {rows.name: rows.count() for rows in other_old_rows}
    return OldJobs(counts.get("COMPLETED", 0), counts.get("CANCELLED", 0), counts.get("FAILED", 0), others)


@job_kind(
    KIND,
    queue="cleanup",
    summary="Delete jobs and other rows that ended long ago.",
    arguments=NO_ARGUMENTS,
    stall_seconds=DEFAULT_STALL_SECONDS,
)
def clean_up(run: Run) -> None:
    """Delete old chains in short transactions of some thousand chains, then the old rows of other apps.

    `processed` counts the deleted rows. The checkpoint has the position and the counts so far. At the end the audit log
    and the log get a report.
    """
    try:
        while _delete_next_chains(run):
            run.check()
        for rows in other_old_rows:
            _delete_all(run, rows)
    except CancelRequested:
        _report(run, is_finished=False)
        raise
    hourly_metrics.merge_old_hours()
    _report(run, is_finished=True)


def _delete_next_chains(run: Run) -> bool:
    """Delete the old chains among the next chains by id. Returns False if all later chains are too young.

    The function locks the first job of each chain, as every change of a chain does. It then reads the chains again,
    because a person may have retried one meanwhile. Chains that others have locked are left for the next clean-up.
    """
    checkpoint = run.job.checkpoint or FIRST_CHECKPOINT
    with transaction.atomic():
        roots = _rows(NEXT_CHAINS, after=checkpoint["after"], limit=BATCH_SIZE)
        if not any(is_old for _, is_old in roots):  # ids rise with time
            return False
        locked = [row[0] for row in _rows(LOCK_CHAINS, roots=[root_id for root_id, is_old in roots if is_old])]
        _rows(LOCK_BATCHES, roots=locked)  # a person may retry another member, and so reopen the batch
        deleted = _delete_chains([row[0] for row in _rows(OLD_CHAINS, roots=locked, itself=run.job.root_id)])
        checkpoint = {"after": roots[-1][0], "deleted": Counter(checkpoint["deleted"]) + deleted}
        run.record_progress(processed=deleted.total(), checkpoint=checkpoint)
    run.job.checkpoint = checkpoint
    return True


def _delete_all(run: Run, rows: OldRows) -> None:
    position: int | None = None
    while True:
        checkpoint = run.job.checkpoint or FIRST_CHECKPOINT
        with transaction.atomic():
            position, count = rows.delete_some(position)
            if count:
                checkpoint = {**checkpoint, "deleted": Counter(checkpoint["deleted"]) + Counter({rows.name: count})}
            run.record_progress(processed=count, checkpoint=checkpoint)
        run.job.checkpoint = checkpoint
        if position is None:
            return
        run.check()


def _delete_chains(roots: Sequence[int]) -> Counter[str]:
    """Delete whole chains with the rows that refer to them. Returns the number of deleted jobs for each status.

    As with Django's own delete, `on_delete` of each model decides about rows that refer to the jobs: such a row is
    deleted, or it stays and loses the link. Django's own delete would load every row first.
    """
    attempts = _rows(ATTEMPTS, roots=list(roots))
    ids = sorted(job_id for job_id, _ in attempts)
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
    return Counter(status for _, status in attempts)


def _report(run: Run, *, is_finished: bool) -> None:
    checkpoint = run.job.checkpoint or FIRST_CHECKPOINT
    details: dict[str, Any] = {"deleted": dict(checkpoint["deleted"]), "finished": is_finished}
    audit_log.record("jobs.cleaned", f"job:{run.job.pk}", by=run.job.requested_by, **details)
    log.info("old_jobs_deleted", jobId=run.job.pk, **details)


def _rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(**parameters))
        return cursor.fetchall()


def _parameters(**more: Any) -> dict[str, Any]:
    completed, failed = settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS
    return {"completed": completed, "failed": failed, "shortest": min(completed, failed), **more}
