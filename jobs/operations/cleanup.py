"""The clean-up, which deletes jobs that ended long ago. It is a job, so that people can see and cancel it.

The clean-up deletes whole chains, and never a chain with an open attempt. It deletes a chain that COMPLETED or was
CANCELLED JOBS_KEEP_COMPLETED_DAYS after the end, and a chain that FAILED JOBS_KEEP_FAILED_DAYS after the end. For a
chain of a batch, the outcome and the end of the batch count. Other code adds its own old rows with `add_old_rows`. The
audit log is never among them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, models, transaction

from flagsite.core.db import transient_errors
from jobs.counting import hourly_metrics
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind, kind_named
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import AttemptTimedOut, CancelRequested, LeaseLost, StopRequested
from jobs.operations.enqueue import checked_arguments, enqueue
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

    `count` counts them. The clean-up calls `delete_some` in one short transaction after the other. `delete_some` gets a
    position and returns the next position and the number of deleted rows. The first position is None, and a returned
    None is the end. Positions stay in the process, so they may be of any type.

    The last argument of both is the number of days after which a row is old, if the clean-up was told one. With None,
    the setting of the rows decides.
    """

    name: str
    count: Callable[[int | None], int]
    delete_some: Callable[[Any, int | None], tuple[Any, int]]


_other_rows: list[OldRows] = []
JOBS = "jobs"
"""The name of old jobs in the argument `only`."""
ROW_NAMES = [JOBS]
"""What a clean-up can delete, by name."""
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "dryRun": {
            "type": "boolean",
            "title": "Dry run",
            "description": "Only count; delete nothing.",
            "default": False,
        },
        "only": {
            "type": "array",
            "title": "Only",
            "description": "What to delete; everything that is old, if nothing is named.",
            "items": {"enum": ROW_NAMES},
            "default": [],
        },
        "olderThanDays": {
            "type": ["integer", "null"],
            "title": "Older than (days)",
            "description": "Delete what ended more than so many days ago, whatever the settings say.",
            "minimum": 1,
            "maximum": 36_500,
            "default": None,
        },
    },
    "additionalProperties": False,
}


before_deletion: list[Callable[[Sequence[int]], object]] = []
"""What to call with the ids of first jobs whose chains are about to be deleted, in the same transaction."""


def add_old_rows(*others: OldRows) -> None:
    """Let clean-ups delete these rows after the jobs."""
    _other_rows.extend(others)
    ROW_NAMES.extend(rows.name for rows in others)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a clean-up was told to delete: rows by name (all if there are none), and after how many days."""

    only: Sequence[str] = ()
    days: int | None = None

    @property
    def has_jobs(self) -> bool:
        return not self.only or JOBS in self.only

    @property
    def others(self) -> list[OldRows]:
        return [rows for rows in _other_rows if not self.only or rows.name in self.only]


EVERYTHING = Choice()


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


def request(*, by: str = "", correlation_id: str = "", choice: Choice = EVERYTHING) -> Job:
    """Create a clean-up job and return it. If a clean-up with the same choice is open already, return that one."""
    trigger = Job.Trigger.SCHEDULE if by == "schedule" else Job.Trigger.ADMIN
    arguments = {"only": list(choice.only), "olderThanDays": choice.days}
    return enqueue(kind=KIND, arguments=arguments, trigger=trigger, by=by, correlation_id=correlation_id).job


def old_jobs(choice: Choice = EVERYTHING) -> OldJobs:
    """Count what a clean-up would delete now. Raises InvalidJobArguments."""
    checked_arguments(kind_named(KIND), {"only": list(choice.only), "olderThanDays": choice.days})
    counts: dict[str, int] = {}
    if choice.has_jobs:
        with connection.cursor() as cursor:
            cursor.execute(COUNT_OLD_CHAINS, _parameters(choice.days, itself=0))
            counts = dict(cursor.fetchall())
    others = {rows.name: rows.count(choice.days) for rows in choice.others}
    return OldJobs(counts.get("COMPLETED", 0), counts.get("CANCELLED", 0), counts.get("FAILED", 0), others)


def _unique_key(arguments: Mapping[str, Any]) -> str:
    """Return the key of a clean-up: one of everything is open at a time, and one of each other choice."""
    given = json.dumps(arguments, sort_keys=True).encode()
    return (
        KIND if arguments == checked_arguments(kind_named(KIND), {}) else f"{KIND}:{hashlib.sha256(given).hexdigest()}"
    )


@job_kind(
    KIND,
    queue="cleanup",
    summary="Delete jobs and other rows that ended long ago.",
    arguments=ARGUMENTS,
    unique_key=_unique_key,
    stall_seconds=DEFAULT_STALL_SECONDS,
)
def clean_up(run: Run) -> None:
    """Delete old chains in short transactions of some thousand chains, then other old rows.

    If rows of one kind cannot be deleted, for example because the storage of files is away, the others go all the same.
    The attempt then fails. `processed` counts the deleted rows. The checkpoint has the position and the counts so far.
    At the end the result, the audit log and the log get a report.
    """
    choice = _choice(run)
    if run.job.arguments.get("dryRun"):
        found = old_jobs(choice)
        counts = {"COMPLETED": found.completed, "CANCELLED": found.cancelled, "FAILED": found.failed, **found.others}
        run.set_result({"dryRun": True, "wouldDelete": counts})
        return
    try:
        while choice.has_jobs and _delete_next_chains(run):
            run.check()
        errors = [error for rows in choice.others if (error := _delete_all_or_fail(run, rows)) is not None]
    except CancelRequested:
        _report(run, is_finished=False)
        raise
    hourly_metrics.merge_old_hours()
    _report(run, is_finished=not errors)
    if errors:
        raise errors[0]


def _choice(run: Run) -> Choice:
    return Choice(run.job.arguments.get("only", ()), run.job.arguments.get("olderThanDays"))


def _delete_next_chains(run: Run) -> bool:
    """Delete the old chains among the next chains by id. Returns False if all later chains are too young.

    The function locks the first job of each chain, as every change of a chain does. It then reads the chains again,
    because a person may have retried one meanwhile. Chains that others have locked are left for the next clean-up.
    """
    checkpoint, days = run.job.checkpoint or FIRST_CHECKPOINT, _choice(run).days
    with transaction.atomic():
        roots = _rows(NEXT_CHAINS, days, after=checkpoint["after"], limit=BATCH_SIZE)
        if not any(is_old for _, is_old in roots):  # ids rise with time
            return False
        locked = [row[0] for row in _rows(LOCK_CHAINS, days, roots=[root_id for root_id, is_old in roots if is_old])]
        _rows(LOCK_BATCHES, days, roots=locked)  # a person may retry another member, and so reopen the batch
        old = [row[0] for row in _rows(OLD_CHAINS, days, roots=locked, itself=run.job.root_id)]
        deleted = _delete_chains(old)
        checkpoint = {"after": roots[-1][0], "deleted": Counter(checkpoint["deleted"]) + deleted}
        run.record_progress(processed=deleted.total(), checkpoint=checkpoint)
    run.job.checkpoint = checkpoint
    return True


def _delete_all_or_fail(run: Run, rows: OldRows) -> Exception | None:
    """Delete all old rows of this kind. Returns the error if that fails, so that it keeps no others from going.

    Raises the errors that end the whole work, and those after which the database has to come back first.
    """
    try:
        _delete_all(run, rows)
    except (AttemptTimedOut, CancelRequested, LeaseLost, StopRequested):
        raise
    except Exception as error:
        if isinstance(error, DatabaseError) and transient_errors.is_transient(error):
            raise
        log.exception("old_rows_not_deleted", jobId=run.job.pk, rows=rows.name)
        return error
    return None


def _delete_all(run: Run, rows: OldRows) -> None:
    position: Any = None
    while True:
        checkpoint = run.job.checkpoint or FIRST_CHECKPOINT
        with transaction.atomic():
            position, count = rows.delete_some(position, _choice(run).days)
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
    for call in before_deletion:
        call(roots)
    attempts = _rows(ATTEMPTS, None, roots=list(roots))
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
    run.set_result({"dryRun": False, **details})
    audit_log.record("jobs.cleaned", f"job:{run.job.pk}", by=run.job.requested_by, **details)
    log.info("old_jobs_deleted", jobId=run.job.pk, **details)


def _rows(statement: str, days: int | None, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(days, **parameters))
        return cursor.fetchall()


def _parameters(days: int | None, **more: Any) -> dict[str, Any]:
    completed, failed = settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS
    if days is not None:
        completed = failed = days
    return {"completed": completed, "failed": failed, "shortest": min(completed, failed), **more}
