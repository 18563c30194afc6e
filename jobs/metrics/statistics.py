"""Compute the figures about jobs that people read: counts, durations and success rates.

The cost does not grow with the number of ended jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from jobs.counting.hourly_metrics import BOUNDS
from jobs.counting.models import AttemptOutcome
from jobs.engine.states import Status

MAX_COUNTED_JOBS = 10_000
"""Flagsite counts jobs of each status up to this number, because counting millions of jobs takes too long."""
HOURS = 24
PERCENTILE = 0.95


@dataclass(frozen=True, slots=True)
class Hour:
    """How attempts ended in the hour that begins at `start`: the number for each outcome."""

    start: datetime
    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.completed + self.failed + self.retried + self.cancelled


@dataclass(frozen=True, slots=True)
class Duration:
    """A time in seconds. With `or_more`, `seconds` is only its lower bound."""

    seconds: float
    or_more: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """The figures of the last 24 clock hours, including the current hour.

    Rates are numbers from 0 to 1, or None if there were no jobs or retries. A job means a whole chain here, which
    succeeds when one of its attempts succeeds. If a person retries an ended chain, its earlier end does not count.
    """

    hours: Sequence[Hour]
    jobs_completed: int = 0
    jobs_failed: int = 0
    retries_completed: int = 0
    retries_ended: int = 0
    automatic_retries: int = 0
    manual_retries: int = 0
    average: Duration | None = None
    percentile: Duration | None = None

    @property
    def success_rate(self) -> float | None:
        """The share of COMPLETED jobs among all jobs that ended and were not cancelled."""
        return _share(self.jobs_completed, self.jobs_completed + self.jobs_failed)

    @property
    def retry_success_rate(self) -> float | None:
        """The share of COMPLETED retries among all retries that ended and were not cancelled."""
        return _share(self.retries_completed, self.retries_ended)

    @property
    def retries(self) -> int:
        return self.automatic_retries + self.manual_retries

    @property
    def retries_per_job(self) -> float | None:
        """The number of retries for each job that ended and was not cancelled."""
        return _share(self.retries, self.jobs_completed + self.jobs_failed)

    @property
    def manual_share(self) -> float | None:
        """The share of manual retries among all retries."""
        return _share(self.manual_retries, self.retries)

    def total(self, outcome: str) -> int:
        """Return the number of attempts with this outcome during the whole day."""
        return sum(getattr(hour, outcome) for hour in self.hours)


@dataclass(frozen=True, slots=True)
class HourlyOutcome:
    """The attempts of one hour with one outcome. A `Day` adds these up."""

    hour: datetime
    outcome: str
    count: int
    chains: int = 0
    chain_seconds: float = 0.0
    retries: int = 0
    reopened: int = 0
    """The number of these chains that a person has retried since."""


@dataclass(slots=True)
class _Sums:
    """Sums for each outcome."""

    counts: dict[str, int] = field(default_factory=dict)
    chains: dict[str, int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    reopened: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


COUNTS = " UNION ALL ".join(  # index job_by_status_and_chain
    f"SELECT '{status}', (SELECT count(*) FROM (SELECT FROM jobs_job WHERE status = '{status}' "  # noqa: S608 - no input in it
    "AND parent_job_id IS NULL LIMIT %(limit)s) job)"
    for status in Status.values
)


def counts_by_status(*, at_most: int = MAX_COUNTED_JOBS) -> dict[str, int]:
    """Return the present number of jobs by status. `at_most + 1` stands for every number above `at_most`.

    A job counts once, whatever the number of its retries: its first attempt tells how the work stands.
    """
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"limit": at_most + 1})
        return dict(cursor.fetchall())


def last_day() -> Day:
    """Return the figures of the last 24 hours from the hourly metrics, which include jobs that are deleted by now."""
    with connection.cursor() as cursor:
        cursor.execute(HOURLY_OUTCOMES, {"since": first_hour()})
        outcomes = [HourlyOutcome(*row) for row in cursor.fetchall()]
        cursor.execute(CHAIN_BUCKETS, {"since": first_hour()})
        buckets = [int(count) for (count,) in cursor.fetchall()]
    return day_of(outcomes, percentile=percentile_of(buckets, PERCENTILE))


HOURLY_OUTCOMES = """
SELECT hour, outcome, sum(count)::bigint, sum(chains)::bigint, sum(chain_seconds), sum(retries)::bigint,
       sum(reopened)::bigint
  FROM jobs_jobtally WHERE hour >= %(since)s GROUP BY hour, outcome  -- index one_tally_each_hour
"""
CHAIN_BUCKETS = """
SELECT sum(bucket.count) FROM jobs_jobtally, unnest(chain_buckets) WITH ORDINALITY bucket(count, place)
 WHERE hour >= %(since)s AND outcome = 'completed' GROUP BY bucket.place ORDER BY bucket.place
"""


def first_hour() -> datetime:
    """Return the start of the oldest of the last 24 clock hours."""
    this_hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return this_hour - timedelta(hours=HOURS - 1)


def day_of(outcomes: Iterable[HourlyOutcome], *, percentile: Duration | None) -> Day:
    """Add up the outcomes of the hours since `first_hour`. `percentile` is that of the durations of chains."""
    sums = _Sums()
    hours: dict[datetime, dict[str, int]] = {first_hour() + timedelta(hours=number): {} for number in range(HOURS)}
    for row in outcomes:
        hour: dict[str, Any] = hours.setdefault(row.hour.astimezone(UTC), {})
        hour[row.outcome] = hour.get(row.outcome, 0) + row.count
        for total, more in (
            (sums.counts, row.count), (sums.chains, row.chains),
            (sums.retries, row.retries), (sums.reopened, row.reopened),
        ):  # fmt: skip
            total[row.outcome] = total.get(row.outcome, 0) + more
        if row.outcome == AttemptOutcome.COMPLETED:
            sums.seconds += row.chain_seconds
    completed = sums.chains.get(AttemptOutcome.COMPLETED, 0)
    charted = (
        AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.RETRIED, AttemptOutcome.CANCELLED,
    )  # fmt: skip
    return Day(
        hours=[Hour(start, **{name.value: hour.get(name, 0) for name in charted}) for start, hour in hours.items()],
        jobs_completed=completed - sums.reopened.get(AttemptOutcome.COMPLETED, 0),
        jobs_failed=sums.chains.get(AttemptOutcome.FAILED, 0) - sums.reopened.get(AttemptOutcome.FAILED, 0),
        retries_completed=sums.retries.get(AttemptOutcome.COMPLETED, 0),
        retries_ended=sum(
            sums.retries.get(name, 0)
            for name in (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.RETRIED)
        ),
        automatic_retries=sums.counts.get(AttemptOutcome.RETRIED, 0),
        manual_retries=sums.counts.get(AttemptOutcome.MANUAL_RETRY, 0),
        average=Duration(sums.seconds / completed) if completed else None,
        percentile=percentile,
    )


def percentile_of(buckets: Sequence[int], share: float) -> Duration | None:
    """Estimate the time within which the share of jobs ended, such as 0.95. Returns None if all buckets are empty.

    `buckets` are counts by `jobs.counting.hourly_metrics.BOUNDS`. The estimate is a linear interpolation within the
    bucket, as by `histogram_quantile` of Prometheus.
    """
    rank, below, lower = sum(buckets) * share, 0, 0.0
    if not rank:
        return None
    for count, upper in zip(buckets, BOUNDS, strict=False):
        if count and below + count >= rank:
            return Duration(lower + (upper - lower) * (rank - below) / count)
        below, lower = below + count, upper
    return Duration(lower, or_more=True)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
