"""The attempts that ended in a period: by kind, by day, and the automatic retries by their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flags.reports.period import Period
from flags.reports.scope import ReportScope
from jobs.metrics.statistics import percentile_of


@dataclass(slots=True)
class KindFigures:
    """The attempts of one kind. A job is a whole chain here. The times are those of completed attempts."""

    kind: str
    completed: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    jobs_completed: int = 0
    jobs_failed: int = 0
    average: float | None = None
    p50: float | None = None
    p95: float | None = None

    @property
    def attempts(self) -> int:
        return self.completed + self.retried + self.failed + self.cancelled


@dataclass(slots=True)
class DayFigures:
    """The attempts that ended on one day."""

    completed: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(slots=True)
class BackoffFigures:
    """The automatic retries with one number. `average` is the time that they waited, in seconds."""

    retry: int
    ended: int = 0
    completed: int = 0
    average: float | None = None


AttemptFigures = tuple[list[KindFigures], dict[date, DayFigures], list[BackoffFigures]]
"""By kind, most attempts first; by day; and by the number of the automatic retry."""

# --- From the hourly metrics ------------------------------------------------------------------------------------------
IN_PERIOD = "FROM jobs_jobtally WHERE hour >= %(start)s AND hour < %(end)s"
COUNTS = f"""
SELECT kind, (hour AT TIME ZONE 'UTC')::date, outcome, sum(count)::bigint, sum(chains)::bigint, sum(reopened)::bigint
  {IN_PERIOD} AND outcome <> 'manual_retry' GROUP BY 1, 2, 3
"""
TIMES = """
SELECT kind, bucket.place, sum(bucket.count)::bigint
  FROM jobs_jobtally, unnest(processing_buckets) WITH ORDINALITY bucket(count, place)
 WHERE hour >= %(start)s AND hour < %(end)s AND outcome = 'completed'
 GROUP BY kind, bucket.place ORDER BY kind, bucket.place
"""
AVERAGES = f"""
SELECT kind, sum(processing_seconds) / nullif(sum(count), 0) {IN_PERIOD} AND outcome = 'completed' GROUP BY kind
"""
BACKOFFS = """
SELECT retry, sum(count)::bigint, coalesce(sum(count) FILTER (WHERE outcome = 'completed'), 0)::bigint,
       sum(backoff_seconds) / nullif(sum((SELECT sum(waited) FROM unnest(backoff_buckets) waited)), 0)
  FROM jobs_jobtally
 WHERE hour >= %(start)s AND hour < %(end)s AND trigger = 'automatic' AND outcome IN ('completed', 'failed', 'retried')
 GROUP BY retry ORDER BY retry
"""
# --- From the jobs of a subtree ---------------------------------------------------------------------------------------
ATTEMPTS = """
WITH attempt AS (
    SELECT job.kind, (job.completed_at AT TIME ZONE 'UTC')::date AS day, job.trigger, job.round_attempt AS retry,
           CASE WHEN job.ended_as = 'COMPLETED' THEN 'completed' WHEN job.ended_as = 'CANCELLED' THEN 'cancelled'
                WHEN following.trigger = 'automatic' THEN 'retried' ELSE 'failed' END AS outcome,
           following.id IS NOT NULL AS is_reopened,
           extract(epoch FROM job.completed_at - job.started_at)::float8 AS seconds,
           CASE WHEN job.trigger = 'automatic' AND job.claims <= 1
                THEN extract(epoch FROM job.run_at - job.created_at)::float8 END AS backoff
      FROM jobs_job job {join}
      LEFT JOIN jobs_job following ON following.parent_job_id = coalesce(job.parent_job_id, job.id)
           AND following.retry_count = 1 + CASE WHEN job.parent_job_id IS NULL THEN 0 ELSE job.retry_count END
     WHERE job.completed_at >= %(start)s AND job.completed_at < %(end)s AND job.ended_as <> '')
"""
JOB_COUNTS = """
SELECT kind, day, outcome, count(*), count(*) FILTER (WHERE outcome <> 'retried'),
       count(*) FILTER (WHERE outcome <> 'retried' AND is_reopened)
  FROM attempt GROUP BY kind, day, outcome
"""
JOB_TIMES = """
SELECT kind, avg(seconds), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)
  FROM attempt WHERE outcome = 'completed' GROUP BY kind
"""
JOB_BACKOFFS = """
SELECT retry, count(*), count(*) FILTER (WHERE outcome = 'completed'), avg(backoff)
  FROM attempt WHERE trigger = 'automatic' AND outcome <> 'cancelled' GROUP BY retry ORDER BY retry
"""


def figures_of(scope: ReportScope, period: Period) -> AttemptFigures:
    """Return the figures of the attempts that ended in the period."""
    if scope.organization_id is None:
        return _of_all(scope, period)
    return _of_subtree(scope, period)


def _of_all(scope: ReportScope, period: Period) -> AttemptFigures:
    span = {"start": period.start, "end": period.end}
    kinds, days = _added_up(scope.rows(COUNTS, **span))
    buckets: dict[str, list[int]] = defaultdict(list)
    for kind, _, count in scope.rows(TIMES, **span):
        buckets[kind].append(count)
    for kind, average in scope.rows(AVERAGES, **span):
        figures, counts = kinds[kind], buckets[kind]
        figures.average = average
        figures.p50, figures.p95 = (
            found.seconds if (found := percentile_of(counts, at)) else None for at in (0.5, 0.95)
        )
    return _sorted(kinds), days, [BackoffFigures(*row) for row in scope.rows(BACKOFFS, **span)]


def _of_subtree(scope: ReportScope, period: Period) -> AttemptFigures:
    span = {"start": period.start, "end": period.end}
    attempts = ATTEMPTS.format(join=scope.join("job.organization_id"))
    kinds, days = _added_up(scope.rows(attempts + JOB_COUNTS, **span))
    for kind, average, p50, p95 in scope.rows(attempts + JOB_TIMES, **span):
        kinds[kind].average, kinds[kind].p50, kinds[kind].p95 = average, p50, p95
    return _sorted(kinds), days, [BackoffFigures(*row) for row in scope.rows(attempts + JOB_BACKOFFS, **span)]


def _added_up(rows: Sequence[Any]) -> tuple[dict[str, KindFigures], dict[date, DayFigures]]:
    kinds: dict[str, KindFigures] = {}
    days: dict[date, DayFigures] = defaultdict(DayFigures)
    for kind, day, outcome, count, chains, reopened in rows:
        figures = kinds.setdefault(kind, KindFigures(kind))
        for sums in (figures, days[day]):
            setattr(sums, outcome, getattr(sums, outcome) + count)
        if outcome == "completed":
            figures.jobs_completed += chains - reopened
        elif outcome == "failed":
            figures.jobs_failed += chains - reopened
    return kinds, days


def _sorted(kinds: dict[str, KindFigures]) -> list[KindFigures]:
    return sorted(kinds.values(), key=lambda figures: (-figures.attempts, figures.kind))
