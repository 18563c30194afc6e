"""What comes and what came in a month, day by day, with the times at which recurring changes are expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from django.db.models import QuerySet

from flags.errors import InvalidSchedule
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence

MOST_SHOWN = 1_000
MOST_OF_A_DAY = 12
"""Expected times of one recurring change that are counted; of more it is said that there are more."""
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule at one of its times; `is_expected`: no row yet, but its recurrence will make one.

    Where more times of a series fall into one day and stand alike, `times` is how many, until `last`.
    """

    at: datetime
    schedule: FlagSchedule
    is_expected: bool = False
    times: int = 1
    last: datetime | None = None

    @property
    def times_in_words(self) -> str:
        """How often until when, where it is more than once."""
        if self.is_expected and self.times > MOST_OF_A_DAY:
            return f"and on, more than {MOST_OF_A_DAY} times"
        return f"to {self.last:%H:%M}, {self.times} times" if self.times > 1 else ""

    @property
    def alike(self) -> tuple[object, ...]:
        """What those have in common that are one line of a day."""
        one = self.schedule
        return (one.series_id or one.pk, one.status, self.is_expected, one.flag_key, str(one.wanted))


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
    by_day = groupby(entries, lambda entry: entry.at.astimezone(UTC).date())
    days = [Day(day, _folded(group)) for day, group in by_day]
    return Month(first, days, len(rows) > MOST_SHOWN)


def _folded(entries: Iterable[Entry]) -> list[Entry]:
    """The entries of a day, with one in the place of all that are alike, when the first of them is."""
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        alike.setdefault(entry.alike, []).append(entry)
    return [replace(group[0], times=len(group), last=group[-1].at.astimezone(UTC)) for group in alike.values()]


def _expected(schedule: FlagSchedule, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The slots after the next, inside of the span; of a day that has more, MOST_OF_A_DAY and one."""
    at, day, count = max(schedule.scheduled_at, begin - INSTANT), begin.date(), 0
    try:
        slots = recurrence(schedule.cron, schedule.time_zone)
        while (at := slots.after(at).astimezone(UTC)) < end:
            yield at
            day, count = at.date(), count + 1 if at.date() == day else 1
            if count > MOST_OF_A_DAY:
                at = _midnight(day + timedelta(days=1)) - INSTANT
    except InvalidSchedule:  # there is no further slot
        return


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
