"""Forgetting jobs that ended long ago: a job itself, so that it is seen, cancelled and goes on after a crash.

A chain goes as a whole, and only when nothing of it is open: one that COMPLETED or was CANCELLED
JOBS_KEEP_COMPLETED_DAYS after its end, one that FAILED for good JOBS_KEEP_FAILED_DAYS after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q

from jobs import lifecycle
from jobs.kinds import job_kind
from jobs.models import Job
from jobs.run import Run
from jobs.states import OPEN
from orgs import history, origin

log = structlog.get_logger(__name__)

KIND = "cleanup"
CHAINS_AT_ONCE = 500
OLD_CHAINS = """
SELECT root.id, latest.status
  FROM jobs_job root
 CROSS JOIN LATERAL (
    SELECT status, completed_at FROM jobs_job attempt
     WHERE attempt.id = root.id OR attempt.parent_job_id = root.id ORDER BY attempt.id DESC LIMIT 1) latest
 WHERE root.parent_job_id IS NULL AND root.id > %(after)s AND root.id <> %(itself)s
   AND root.created_at < statement_timestamp() - %(least)s * interval '1 day'
   AND ((latest.status IN ('COMPLETED', 'CANCELLED')
         AND latest.completed_at < statement_timestamp() - %(completed)s * interval '1 day')
     OR (latest.status = 'FAILED' AND latest.completed_at < statement_timestamp() - %(failed)s * interval '1 day'))
 ORDER BY root.id LIMIT %(most)s
"""
HOLD = " FOR UPDATE OF root SKIP LOCKED"  # somebody is about to retry it


@dataclass(frozen=True, slots=True)
class OldJobs:
    """What a clean-up would delete now: chains by how they ended."""

    completed: int
    cancelled: int
    failed: int

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
        job = lifecycle.create(kind=KIND, requested_by=by or origin.actor(), correlation_id=correlation_id)
        history.record("jobs.cleanup", f"job:{job.pk}", by=by)
    return job


def old_jobs() -> OldJobs:
    """Count what a clean-up would delete now."""
    statement = f"SELECT status, count(*) FROM ({OLD_CHAINS}) old GROUP BY status"  # noqa: S608 - no input in it
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(itself=0, after=0, most=None))
        counts: dict[str, int] = dict(cursor.fetchall())
    return OldJobs(counts.get("COMPLETED", 0), counts.get("CANCELLED", 0), counts.get("FAILED", 0))


@job_kind(KIND)
def clean_up(run: Run) -> None:
    """Delete old chains, some hundred in each transaction; `processed` counts the jobs that are gone."""
    gone: dict[str, int] = {}
    while True:
        run.check()
        with transaction.atomic():
            roots = _next_chains(run)
            if not roots:
                break
            chains = Job.objects.filter(Q(pk__in=roots) | Q(parent_job_id__in=roots))
            counts = dict(chains.values_list("status").annotate(Count("pk")).order_by())
            chains.delete()
            run.record_progress(processed=sum(counts.values()), checkpoint={"after": max(roots)})
            run.job.checkpoint = {"after": max(roots)}
        for status, count in counts.items():
            gone[status] = gone.get(status, 0) + count
    history.record("jobs.cleaned", f"job:{run.job.pk}", by=run.job.requested_by, deleted=gone)
    log.info("old_jobs_deleted", **gone)


def _next_chains(run: Run) -> list[int]:
    after = (run.job.checkpoint or {}).get("after", 0)
    with connection.cursor() as cursor:
        cursor.execute(OLD_CHAINS + HOLD, _parameters(itself=run.job.root_id, after=after, most=CHAINS_AT_ONCE))
        return [row[0] for row in cursor.fetchall()]


def _parameters(**more: Any) -> dict[str, Any]:
    completed, failed = settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS
    return {"completed": completed, "failed": failed, "least": min(completed, failed), **more}
