"""Figures about jobs for people: how many, how fast, how well. Each costs the same however many jobs have ended."""

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

MOST_COUNTED = 10_000
"""Jobs of each status are counted up to this number; counting millions takes too long."""
HOURS = 24
PERCENTILE = 0.95


@dataclass(frozen=True, slots=True)
class Hour:
    """How many attempts ended how between `start` and an hour later."""

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
    """A time in seconds; `or_more` when only its lower end is known."""

    seconds: float
    or_more: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 clock hours, the current one included. Rates are shares of 1, None where there is nothing to divide.

    A job is a whole chain here: it succeeds when one of its attempts does. One that a person retries has not come to
    its end before, and ends once, however often that happens.
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
        """Of the jobs that came to an end, cancelled ones left out, how many COMPLETED."""
        return _share(self.jobs_completed, self.jobs_completed + self.jobs_failed)

    @property
    def retry_success_rate(self) -> float | None:
        """Of the retries that were made, how many COMPLETED."""
        return _share(self.retries_completed, self.retries_ended)

    @property
    def retries(self) -> int:
        return self.automatic_retries + self.manual_retries

    @property
    def retries_per_job(self) -> float | None:
        """Retries that were asked for, per job that came to an end."""
        return _share(self.retries, self.jobs_completed + self.jobs_failed)

    @property
    def manual_share(self) -> float | None:
        """Of the retries that were asked for, how many a person asked for."""
        return _share(self.manual_retries, self.retries)

    def total(self, outcome: str) -> int:
        """Attempts of the whole day that ended so."""
        return sum(getattr(hour, outcome) for hour in self.hours)


@dataclass(frozen=True, slots=True)
class Ending:
    """Attempts of one hour with one outcome: a line that a Day is added up from."""

    hour: datetime
    outcome: str
    count: int
    chains: int = 0
    chain_seconds: float = 0.0
    retries: int = 0
    reopened: int = 0
    """Of the chains, those that a person has retried since."""


@dataclass(slots=True)
class _Sums:
    """What is added up while going through the endings."""

    counts: dict[str, int] = field(default_factory=dict)
    chains: dict[str, int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    reopened: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


COUNTS = " UNION ALL ".join(  # a literal each, for the partial indexes on open jobs; the others by job_by_status
    f"SELECT '{status}', (SELECT count(*) FROM (SELECT FROM jobs_job WHERE status = '{status}' LIMIT %(most)s) job)"  # noqa: S608 - no input in it
    for status in Status.values
)


def counts_by_status(*, at_most: int = MOST_COUNTED) -> dict[str, int]:
    """How many jobs have each status now; `at_most` + 1 stands for every larger number."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"most": at_most + 1})
        return dict(cursor.fetchall())


def last_day() -> Day:
    """The last 24 hours from the tallies, thus with jobs that were cleaned up since."""
    with connection.cursor() as cursor:
        cursor.execute(ENDINGS, {"since": first_hour()})
        endings = [Ending(*row) for row in cursor.fetchall()]
        cursor.execute(CHAIN_BUCKETS, {"since": first_hour()})
        buckets = [int(count) for (count,) in cursor.fetchall()]
    return day_of(endings, percentile=percentile_of(buckets, PERCENTILE))


ENDINGS = """
SELECT hour, outcome, sum(count)::bigint, sum(chains)::bigint, sum(chain_seconds), sum(retries)::bigint,
       sum(reopened)::bigint
  FROM jobs_jobtally WHERE hour >= %(since)s GROUP BY hour, outcome  -- index one_tally_each_hour
"""
CHAIN_BUCKETS = """
SELECT sum(bucket.count) FROM jobs_jobtally, unnest(chain_buckets) WITH ORDINALITY bucket(count, place)
 WHERE hour >= %(since)s AND outcome = 'completed' GROUP BY bucket.place ORDER BY bucket.place
"""


def first_hour() -> datetime:
    """When the oldest of the last 24 clock hours began."""
    this_hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return this_hour - timedelta(hours=HOURS - 1)


def day_of(endings: Iterable[Ending], *, percentile: Duration | None) -> Day:
    """Add up how attempts ended since `first_hour`."""
    sums = _Sums()
    hours: dict[datetime, dict[str, int]] = {first_hour() + timedelta(hours=number): {} for number in range(HOURS)}
    for ending in endings:
        hour: dict[str, Any] = hours.setdefault(ending.hour.astimezone(UTC), {})
        hour[ending.outcome] = hour.get(ending.outcome, 0) + ending.count
        for total, more in (
            (sums.counts, ending.count), (sums.chains, ending.chains),
            (sums.retries, ending.retries), (sums.reopened, ending.reopened),
        ):  # fmt: skip
            total[ending.outcome] = total.get(ending.outcome, 0) + more
        if ending.outcome == AttemptOutcome.COMPLETED:
            sums.seconds += ending.chain_seconds
    completed = sums.chains.get(AttemptOutcome.COMPLETED, 0)
    shown = (
        AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.RETRIED, AttemptOutcome.CANCELLED,
    )  # fmt: skip
    return Day(
        hours=[Hour(start, **{name.value: hour.get(name, 0) for name in shown}) for start, hour in hours.items()],
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
    """The time within which that share of jobs ended, estimated: even within the bucket that it falls into.

    `buckets` count by `jobs.counting.hourly_metrics.BOUNDS`. None when they are empty.
    """
    wanted, seen, lower = sum(buckets) * share, 0, 0.0
    if not wanted:
        return None
    for count, upper in zip(buckets, BOUNDS, strict=False):
        if count and seen + count >= wanted:
            return Duration(lower + (upper - lower) * (wanted - seen) / count)
        seen, lower = seen + count, upper
    return Duration(lower, or_more=True)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
