"""Compute the figures of `jobs.metrics.statistics` for a caller with a scope.

The hourly metrics do not contain organizations, so this module reads the jobs themselves. It reads only the newest
jobs, so that the cost does not grow with the number of jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from jobs.engine.states import Status
from jobs.metrics import statistics
from jobs.metrics.statistics import Day, Duration, HourlyOutcome
from orgs.access.caller import Caller
from orgs.tree.subtrees import is_at_or_below, subtree_columns

NEWEST_JOBS = 100_000
"""How many of the newest jobs of the whole installation this module reads."""
JOBS = f"""
WITH top AS (SELECT {subtree_columns("organization")} FROM orgs_organization organization WHERE id = %(top)s),
     job AS MATERIALIZED (
    SELECT job.status, job.ended_as, job.completed_at, job.created_at, root.created_at AS asked_at, job.trigger,
           job.parent_job_id IS NOT NULL AS is_retry,
           following.trigger IS DISTINCT FROM 'automatic' AS is_last,  -- a manual retry starts another round
           following.trigger = 'manual' AS is_reopened
      FROM jobs_job job
      JOIN jobs_job root ON root.id = COALESCE(job.parent_job_id, job.id)
      LEFT JOIN jobs_job following ON following.parent_job_id = root.id  -- index one_retry_of_each_number
           AND following.retry_count = 1 + CASE WHEN job.id = root.id THEN 0 ELSE job.retry_count END
      JOIN orgs_organization organization ON organization.id = job.organization_id
      JOIN top ON {is_at_or_below("organization", "top")}
     WHERE job.id > (SELECT max(id) FROM jobs_job) - %(newest)s)
"""  # noqa: S608 - no input in it
FIGURES = (
    JOBS
    + """
SELECT %(since)s, status, count(*), 0, 0, 0, 0 FROM job WHERE NOT is_retry GROUP BY status  -- of chains, now
 UNION ALL  -- how attempts ended
SELECT date_trunc('hour', completed_at, 'UTC'),
       CASE WHEN ended_as = 'COMPLETED' THEN 'completed' WHEN ended_as = 'CANCELLED' THEN 'cancelled'
            WHEN is_last THEN 'failed' ELSE 'retried' END,
       count(*), count(*) FILTER (WHERE is_last),
       COALESCE(sum(extract(epoch FROM completed_at - asked_at)::float8) FILTER (WHERE is_last), 0),
       count(*) FILTER (WHERE is_retry), count(*) FILTER (WHERE is_reopened)
  FROM job WHERE completed_at >= %(since)s AND ended_as <> '' GROUP BY 1, 2
 UNION ALL  -- manual retries
SELECT date_trunc('hour', created_at, 'UTC'), 'manual_retry', count(*), 0, 0, 0, 0
  FROM job WHERE created_at >= %(since)s AND trigger = 'manual' GROUP BY 1
 UNION ALL  -- the percentile, in a row of its own
SELECT %(since)s, 'percentile', 0, 0,
       percentile_cont(%(share)s) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - asked_at)::float8), 0, 0
  FROM job WHERE completed_at >= %(since)s AND ended_as = 'COMPLETED' AND is_last
"""
)


@dataclass(frozen=True, slots=True)
class SubtreeStatistics:
    """The number of the caller's chains by status, and the figures of the last 24 hours."""

    counts: dict[str, int]
    day: Day


def statistics_of(caller: Caller) -> SubtreeStatistics:
    """Return the figures of the jobs in the caller's scope, from the NEWEST_JOBS."""
    parameters: dict[str, Any] = {
        "top": caller.organization_id,
        "newest": NEWEST_JOBS,
        "since": statistics.first_hour(),
        "share": statistics.PERCENTILE,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, parameters)
        rows = [HourlyOutcome(*row) for row in cursor.fetchall()]
    (percentile,) = (row.chain_seconds for row in rows if row.outcome == "percentile")
    counts = {status: sum(row.count for row in rows if row.outcome == status) for status in Status.values}
    outcomes = [row for row in rows if row.outcome not in {"percentile", *Status.values}]
    day = statistics.day_of(outcomes, percentile=None if percentile is None else Duration(percentile))
    return SubtreeStatistics(counts, day)
