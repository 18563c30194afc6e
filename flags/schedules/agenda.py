"""What comes and what came in a month, day by day, with the times at which recurring changes are expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice, takewhile

from django.db.models import QuerySet

from flags.errors import InvalidSchedule
from flags.models import FlagSchedule
from flags.schedules.recurrence import recurrence

MOST_SHOWN = 1_000
MOST_EXPECTED = 100
"""Times of one recurring change that are shown beyond its next."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule at a moment; `is_expected`: no row yet, but its recurrence will make one."""

    at: datetime
    schedule: FlagSchedule
    is_expected: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """A day in UTC on which there is something."""

    day: date
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Month:
    """The days of a month on which there is something; `is_cut`: there is more than can be shown."""

    first: date
    days: list[Day]
    is_cut: bool

    @property
    def before(self) -> date:
        """The first of the month before."""
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def after(self) -> date:
        """The first of the next month."""
        return _next(self.first)


def month_of(schedules: QuerySet[FlagSchedule], first: date) -> Month:
    """The month that begins on `first`, with those of the schedules that fall into it."""
    begin, end = _midnight(first), _midnight(_next(first))
    inside = schedules.filter(scheduled_at__gte=begin, scheduled_at__lt=end).order_by("scheduled_at", "id")
    rows = list(inside[: MOST_SHOWN + 1])
    entries = [Entry(row.scheduled_at, row) for row in rows[:MOST_SHOWN]]
    recurring = schedules.filter(status=FlagSchedule.Status.PENDING, scheduled_at__lt=end).exclude(cron="")
    for schedule in recurring.order_by("id")[:MOST_SHOWN]:
        entries += [Entry(at, schedule, is_expected=True) for at in _expected(schedule, begin, end)]
    entries.sort(key=lambda entry: (entry.at, entry.schedule.pk))
    days = [Day(day, list(group)) for day, group in groupby(entries, lambda entry: entry.at.astimezone(UTC).date())]
    return Month(first, days, len(rows) > MOST_SHOWN)


def _expected(schedule: FlagSchedule, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The slots after the next, inside of the span."""
    later = _slots_after(schedule, max(schedule.scheduled_at, begin - timedelta(microseconds=1)))
    return islice(takewhile(lambda at: at < end, later), MOST_EXPECTED)


def _slots_after(schedule: FlagSchedule, moment: datetime) -> Iterator[datetime]:
    try:
        slots = recurrence(schedule.cron, schedule.time_zone)
        while True:
            moment = slots.after(moment)
            yield moment
    except InvalidSchedule:  # there is no further slot
        return


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
