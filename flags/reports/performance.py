"""The performance report: how jobs ended, how long they took, what retries achieve, and propagations by size.

The figures of all organizations come from the hourly metrics, which outlive the jobs. Those of a subtree come from the
jobs themselves, because the hourly metrics know no organizations (`attempts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from flags.reports import attempts
from flags.reports.attempts import BackoffFigures, DayFigures, KindFigures
from flags.reports.colours import BLUE, GREEN, GREY, ORANGE, RED
from flags.reports.figures import CellType, Chart, Column, Figures, KeyFigure, Series, Table
from flags.reports.period import Period
from flags.reports.scope import ReportScope
from flagsite.core.words import counted
from jobs.counting.hourly_metrics import DAYS_KEPT

TITLE = "Performance of jobs"
COUNT, SHARE, SECONDS = CellType.COUNT, CellType.SHARE, CellType.SECONDS
SIZES = (1, 2, 11, 101, 1_001, 10_001, 100_001, 1_000_001)
"""The smallest size of each group of propagations, in organizations."""
PROPAGATIONS = """
SELECT width_bucket(job.processed, %(sizes)s::bigint[]) AS place, count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY time.seconds),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY time.seconds), max(time.seconds)
  FROM jobs_job job {join}
 CROSS JOIN LATERAL (SELECT extract(epoch FROM job.completed_at - job.started_at)::float8 AS seconds) time
 WHERE job.kind = 'propagation' AND job.ended_as = 'COMPLETED' AND job.processed > 0
   AND job.completed_at >= %(start)s AND job.completed_at < %(end)s
 GROUP BY place ORDER BY place
"""


def figures_of(scope: ReportScope, period: Period, *, details: bool) -> Figures:
    """Return the figures of the performance report. It has no further details."""
    kinds, days, backoffs = attempts.figures_of(scope, period)
    propagations = scope.rows(
        PROPAGATIONS.format(join=scope.join("job.organization_id")),
        sizes=list(SIZES), start=period.start, end=period.end,
    )  # fmt: skip
    return Figures(
        key_figures=_key_figures(kinds, backoffs),
        charts=_charts(period, kinds, days, propagations),
        tables=[
            _kind_table(kinds),
            _backoff_table(backoffs),
            _propagation_table(propagations),
            _day_table(period, days),
        ],
        notes=_notes(scope, period),
        is_empty=not any(kind.attempts for kind in kinds),
    )


def _key_figures(kinds: Sequence[KindFigures], backoffs: Sequence[BackoffFigures]) -> list[KeyFigure]:
    completed = sum(kind.jobs_completed for kind in kinds)
    failed = sum(kind.jobs_failed for kind in kinds)
    healed, ended = sum(row.completed for row in backoffs), sum(row.ended for row in backoffs)
    return [
        KeyFigure("jobsCompleted", "Jobs completed", completed),
        KeyFigure("jobsFailed", "Jobs failed", failed),
        KeyFigure("successRate", "Success rate", share(completed, completed + failed), SHARE),
        KeyFigure("attempts", "Attempts", sum(kind.attempts for kind in kinds)),
        KeyFigure("retrySuccessRate", "Automatic retries that completed", share(healed, ended), SHARE),
    ]


def _charts(
    period: Period, kinds: Sequence[KindFigures], days: dict[date, DayFigures], propagations: Sequence[Any]
) -> list[Chart]:
    shown = [days.get(day, DayFigures()) for day in period.days]
    by_day = Chart(
        "Attempts by day",
        [day.isoformat() for day in period.days],
        [
            Series("Completed", GREEN, [day.completed for day in shown]),
            Series("Failed, then retried", ORANGE, [day.retried for day in shown]),
            Series("Failed", RED, [day.failed for day in shown]),
            Series("Cancelled", GREY, [day.cancelled for day in shown]),
        ],
        is_over_time=True,
    )
    timed = [kind for kind in kinds if kind.p95 is not None]
    by_kind = Chart(
        "Time within which 95 % of the attempts completed, by kind",
        [kind.kind for kind in timed],
        [Series("95 %", BLUE, [kind.p95 or 0.0 for kind in timed])],
        SECONDS,
    )
    by_size = Chart(
        "Time within which 95 % of the propagations completed, by organizations",
        [size_in_words(place) for place, *_ in propagations],
        [Series("95 %", BLUE, [p95 for _, _, _, p95, _ in propagations])],
        SECONDS,
    )
    return [by_day, by_kind, by_size]


def _kind_table(kinds: Sequence[KindFigures]) -> Table:
    columns = [
        Column("kind", "Kind", width=2.2),
        Column("attempts", "Attempts", COUNT),
        Column("completed", "Completed", COUNT),
        Column("retried", "Retried", COUNT),
        Column("failed", "Failed", COUNT),
        Column("cancelled", "Cancelled", COUNT),
        Column("averageSeconds", "Average", SECONDS),
        Column("p50Seconds", "50 %", SECONDS),
        Column("p95Seconds", "95 %", SECONDS),
    ]
    rows = [
        (row.kind, row.attempts, row.completed, row.retried, row.failed, row.cancelled, row.average, row.p50, row.p95)
        for row in kinds
    ]
    note = "Retried attempts failed, and an automatic retry followed. The times are those of completed attempts."
    return Table("kinds", "Attempts by kind", columns, rows, len(rows), note)


def _backoff_table(backoffs: Sequence[BackoffFigures]) -> Table:
    columns = [
        Column("retry", "Automatic retry", COUNT),
        Column("ended", "Ended", COUNT),
        Column("completed", "Completed", COUNT),
        Column("successRate", "Success rate", SHARE),
        Column("averageBackoffSeconds", "Average backoff", SECONDS),
    ]
    rows = [(row.retry, row.ended, row.completed, share(row.completed, row.ended), row.average) for row in backoffs]
    note = "The number of the retry after the first attempt or after a retry by a person."
    return Table("backoff", "Success of automatic retries", columns, rows, len(rows), note, "There were no retries.")


def _propagation_table(rows: Sequence[Any]) -> Table:
    columns = [
        Column("organizations", "Organizations", width=2),
        Column("propagations", "Propagations", COUNT),
        Column("p50Seconds", "50 %", SECONDS),
        Column("p95Seconds", "95 %", SECONDS),
        Column("maxSeconds", "Longest", SECONDS),
    ]
    cells = [(size_in_words(place), *figures) for place, *figures in rows]
    note = "Attempts that completed, by the organizations that they processed. Older jobs may be deleted by now."
    return Table("propagations", "Propagations by size", columns, cells, len(cells), note, "There were none.")


def _day_table(period: Period, days: dict[date, DayFigures]) -> Table:
    columns = [
        Column("day", "Day (UTC)", CellType.DAY),
        *(Column(name, name.capitalize(), COUNT) for name in ("completed", "retried", "failed", "cancelled")),
    ]
    shown = [(day, days.get(day, DayFigures())) for day in period.days]
    rows = [(day, row.completed, row.retried, row.failed, row.cancelled) for day, row in shown]
    return Table("days", "Attempts by day", columns, rows, len(rows))


def size_in_words(place: int) -> str:
    """Return a group of propagations by their size, such as "11 to 100"."""
    first = SIZES[place - 1]
    if place == len(SIZES):
        return f"{first:,} or more"
    last = SIZES[place] - 1
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _notes(scope: ReportScope, period: Period) -> list[str]:
    age = timezone.now() - period.start
    if scope.organization_id is None:
        if age <= timedelta(days=DAYS_KEPT):
            return []
        note = (
            f"Attempts that ended more than {DAYS_KEPT} days ago are counted by month: they stand at the first day of "
        )
        return [f"{note}their month, and are missing if the period does not begin with the month."]
    completed, failed = settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS
    if age <= timedelta(days=min(completed, failed)):
        return []
    note = "The figures of a subtree come from jobs that are not yet deleted: completed jobs are kept for "
    return [f"{note}{counted(completed, 'day')}, failed ones for {counted(failed, 'day')}."]


def share(part: int, whole: int) -> float | None:
    """Return the part as a share of the whole; None if there is nothing."""
    return part / whole if whole else None
