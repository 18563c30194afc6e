"""The figures of `jobs.metrics.statistics` for a caller who sees the jobs of some organizations only.

The tallies know no organizations, so these are read from the jobs themselves: from the newest of all, so that it
costs the same however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from jobs.engine.states import Status
from jobs.metrics import statistics
from jobs.metrics.statistics import Day, Duration, Ending
from orgs.access.caller import Caller
from orgs.tree.subtrees import is_at_or_below, subtree_columns

NEWEST = 100_000
"""Of all jobs, those that are looked at."""
JOBS = f"""
WITH top AS (SELECT {subtree_columns("organization")} FROM orgs_organization organization WHERE id = %(top)s),
     job AS MATERIALIZED (
    SELECT job.status, job.completed_at, job.created_at, root.created_at AS asked_at, job.trigger,
           job.parent_job_id IS NOT NULL AS is_retry,
           following.trigger IS DISTINCT FROM 'automatic' AS is_last,  -- what a person asks for is another round
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
SELECT %(since)s, status, count(*), 0, 0, 0, 0 FROM job GROUP BY status  -- what they are now
 UNION ALL  -- how they ended
SELECT date_trunc('hour', completed_at, 'UTC'),
       CASE WHEN status = 'COMPLETED' THEN 'completed' WHEN status = 'CANCELLED' THEN 'cancelled'
            WHEN is_last THEN 'failed' ELSE 'retried' END,
       count(*), count(*) FILTER (WHERE is_last),
       COALESCE(sum(extract(epoch FROM completed_at - asked_at)::float8) FILTER (WHERE is_last), 0),
       count(*) FILTER (WHERE is_retry), count(*) FILTER (WHERE is_reopened)
  FROM job WHERE completed_at >= %(since)s AND status NOT IN ('PENDING', 'IN_PROGRESS') GROUP BY 1, 2
 UNION ALL  -- what people asked for
SELECT date_trunc('hour', created_at, 'UTC'), 'manual_retry', count(*), 0, 0, 0, 0
  FROM job WHERE created_at >= %(since)s AND trigger = 'manual' GROUP BY 1
 UNION ALL  -- the percentile, on a line of its own
SELECT %(since)s, 'percentile', 0, 0,
       percentile_cont(%(share)s) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - asked_at)::float8), 0, 0
  FROM job WHERE completed_at >= %(since)s AND status = 'COMPLETED' AND is_last
"""
)


@dataclass(frozen=True, slots=True)
class SubtreeStatistics:
    """How many of the caller's jobs have each status, and how their last day was."""

    counts: dict[str, int]
    day: Day


def statistics_of(caller: Caller) -> SubtreeStatistics:
    """Of the NEWEST jobs, those of the organizations that the caller is bound to."""
    parameters: dict[str, Any] = {
        "top": caller.organization_id,
        "newest": NEWEST,
        "since": statistics.first_hour(),
        "share": statistics.PERCENTILE,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, parameters)
        lines = [Ending(*row) for row in cursor.fetchall()]
    (percentile,) = (line.chain_seconds for line in lines if line.outcome == "percentile")
    counts = {status: sum(line.count for line in lines if line.outcome == status) for status in Status.values}
    endings = [line for line in lines if line.outcome not in {"percentile", *Status.values}]
    day = statistics.day_of(endings, percentile=None if percentile is None else Duration(percentile))
    return SubtreeStatistics(counts, day)
