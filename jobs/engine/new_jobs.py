"""Store new jobs: a single one with one statement, and many with one statement for some thousand jobs.

`Job.save` would name all columns of the table, which takes more time than the rest of a creation. The columns that are
not in COLUMNS have a default in the database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection

from jobs.engine import transitions, wakeup
from jobs.engine.models import Job

COLUMNS = (
    "kind", "queue", "priority", "organization_id", "arguments", "trigger", "max_retries", "requested_by",
    "correlation_id", "reason", "trace_context", "unique_key", "unique_while", "concurrency_key", "batch_id",
    "batch_role", "member_name", "run_at",
)  # fmt: skip
"""The columns of a new job that differ from job to job."""
ROWS = 2000
"""Jobs that one statement creates."""
MOST_WAKE_UPS = 100
"""The most wake-ups that are sent at once for the jobs of one queue."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a new job is due, by the clock of the database: after `wait`, and not before `run_at`.

    If it has not started `start_within` after that, the engine cancels it.
    """

    wait: timedelta = timedelta()
    run_at: datetime | None = None
    start_within: timedelta | None = None


DUE_AT = "GREATEST(statement_timestamp() + %(wait)s::interval, %(run_at)s::timestamptz)"
SINGLE = {name: f"%({name})s" for name in (*COLUMNS, "total", "start_by")} | {
    "queue": "queue.name",
    "arguments": "%(arguments)s::jsonb",
    "max_retries": "COALESCE(%(max_retries)s, queue.max_retries)",
    "run_at": DUE_AT,
    "start_by": f"{DUE_AT} + %(start_within)s::interval",
}
"""The columns of a single new job, and their values in the statement."""
RETURNED = ("id", "max_retries", "created_at", "updated_at", "run_at", "start_by")
INSERT = f"""
INSERT INTO jobs_job ({", ".join(SINGLE)})
SELECT {", ".join(SINGLE.values())} FROM jobs_queue queue WHERE queue.name = %(queue)s {{hold}}
RETURNING {", ".join(RETURNED)}
"""  # noqa: S608 - only names of columns


def insert(job: Job, due: Due, *, hold: bool) -> None:
    """Store a job of `lifecycle.new_job` in the caller's transaction, and give it the values that the database sets.

    A job without `max_retries` gets those of its queue. `hold` keeps the queue from being deleted until the
    transaction ends; claims do not wait for that. Raises UnknownQueue, or IntegrityError if another job has the unique
    key.
    """
    values = {name: getattr(job, name) for name in (*COLUMNS, "total")}
    times = {"wait": due.wait, "run_at": due.run_at, "start_within": due.start_within}
    with connection.cursor() as cursor:
        statement = INSERT.format(hold="FOR KEY SHARE" if hold else "")
        cursor.execute(statement, values | times | {"arguments": json.dumps(job.arguments)})
        row = cursor.fetchone()
    if row is None:
        raise transitions.unknown_queue(job.queue)
    for name, value in zip(RETURNED, row, strict=True):
        setattr(job, name, value)
    job._state.adding, job._state.db = False, connection.alias  # noqa: SLF001 - a documented attribute


def create_many(jobs: Sequence[Job]) -> None:
    """Store many jobs of `lifecycle.new_job` in the caller's transaction, and send wake-ups after the commit.

    Each job gets its id. A job without `run_at` is due at once. A wake-up for each place in a pool of workers is
    enough, because each worker looks for the next job after each job. Raises IntegrityError if another job has the
    unique key of one of them.
    """
    for start in range(0, len(jobs), ROWS):
        document = json.dumps([_values(job) for job in jobs[start : start + ROWS]])
        with connection.cursor() as cursor:
            cursor.execute(_statement(), [document])
            for job, (job_id,) in zip(jobs[start : start + ROWS], cursor.fetchall(), strict=True):
                job.pk = job_id
    for queue, count in Counter(job.queue for job in jobs).items():
        for _ in range(min(count, MOST_WAKE_UPS)):
            wakeup.wake(queue)


def _values(job: Job) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in COLUMNS}
    return values | {"run_at": job.run_at.isoformat() if isinstance(job.run_at, datetime) else None}


@cache
def _statement() -> str:
    types = {field.attname: field.db_type(connection) for field in Job._meta.concrete_fields}
    columns, typed = ", ".join(COLUMNS), ", ".join(f"{name} {types[name]}" for name in COLUMNS)
    values = columns.replace("run_at", "COALESCE(run_at, statement_timestamp())")
    return f"""
INSERT INTO jobs_job ({columns})
SELECT {values} FROM ROWS FROM (jsonb_to_recordset(%s::jsonb) AS ({typed})) WITH ORDINALITY ORDER BY ordinality
RETURNING id
"""  # noqa: S608 - only names of columns
