"""Create many jobs at once, with one statement for some thousand jobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection

from jobs.engine import wakeup
from jobs.engine.models import Job

COLUMNS = (
    "kind", "queue", "priority", "organization_id", "arguments", "trigger", "max_retries", "requested_by",
    "correlation_id", "reason", "trace_context", "unique_key", "unique_while", "concurrency_key", "batch_id",
    "batch_role", "member_name", "run_at",
)  # fmt: skip
"""The columns of a new job that differ from job to job. All others have a default in the database."""
ROWS = 2000
"""Jobs that one statement creates."""
MOST_WAKE_UPS = 100
"""The most wake-ups that are sent at once for the jobs of one queue."""


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
