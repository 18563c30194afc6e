"""The agenda of a month: past and coming scheduled changes by day, with expected occurrences of recurring changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from django.db.models import QuerySet

from flags.errors import InvalidSchedule
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence

MAX_SCHEDULES = 1_000
"""Scheduled changes that one month shows."""
MAX_TIMES_PER_DAY = 12
"""Expected occurrences of a recurring change that are counted on one day. The page says if there are more."""
ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule at one of its times.

    `is_expected` means that this occurrence has no row yet. Occurrences of a series on the same day with the same
    status are one entry: `at` is the first time, `last` the last time, and `times` their number.
    """

    at: datetime
    schedule: FlagSchedule
    is_expected: bool = False
    times: int = 1
    last: datetime | None = None

    @property
    def times_text(self) -> str:
        """The number of occurrences and the time of the last one; empty if there is only one."""
        if self.is_expected and self.times > MAX_TIMES_PER_DAY:
            return f"and later, more than {MAX_TIMES_PER_DAY} times"
        return f"to {self.last:%H:%M}, {self.times} times" if self.times > 1 else ""

    @property
    def group_key(self) -> tuple[object, ...]:
        """The values that occurrences of the same entry have in common."""
        one = self.schedule
        return (one.series_id or one.pk, one.status, self.is_expected, one.flag_key, str(one.wanted))


@dataclass(frozen=True, slots=True)
class AgendaDay:
    """The entries of one day in UTC. Days without entries are left out."""

    day: date
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Month:
    """A month with its days. `is_cut` means that the month has more than MAX_SCHEDULES scheduled changes."""

    first: date
    days: list[AgendaDay]
    is_cut: bool

    @property
    def before(self) -> date:
        """The first day of the previous month."""
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def after(self) -> date:
        """The first day of the next month."""
        return _next(self.first)


def month_of(schedules: QuerySet[FlagSchedule], first: date) -> Month:
    """Return the month that begins on `first`, with the schedules that have a time in it."""
    begin, end = _midnight(first), _midnight(_next(first))
    inside = schedules.filter(scheduled_at__gte=begin, scheduled_at__lt=end).order_by("scheduled_at", "id")
    rows = list(inside[: MAX_SCHEDULES + 1])
    entries = [Entry(row.scheduled_at, row) for row in rows[:MAX_SCHEDULES]]
    recurring = schedules.filter(status=FlagSchedule.Status.PENDING, scheduled_at__lt=end).exclude(cron="")
    for schedule in recurring.order_by("id")[:MAX_SCHEDULES]:
        entries += [Entry(at, schedule, is_expected=True) for at in _expected(schedule, begin, end)]
    entries.sort(key=lambda entry: (entry.at, entry.schedule.pk))
    by_day = groupby(entries, lambda entry: entry.at.astimezone(UTC).date())
    days = [AgendaDay(day, _grouped(group)) for day, group in by_day]
    return Month(first, days, len(rows) > MAX_SCHEDULES)


def _grouped(entries: Iterable[Entry]) -> list[Entry]:
    """Combine the entries of a day that have the same group key, at the time of the first one."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group_key, []).append(entry)
    return [replace(group[0], times=len(group), last=group[-1].at.astimezone(UTC)) for group in groups.values()]


def _expected(schedule: FlagSchedule, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the slots of a recurring schedule inside a span, at most MAX_TIMES_PER_DAY + 1 for each day."""
    at, day, count = max(schedule.scheduled_at, begin - ONE_MICROSECOND), begin.date(), 0
    try:
        slots = recurrence(schedule.cron, schedule.time_zone)
        while (at := slots.after(at).astimezone(UTC)) < end:
            yield at
            day, count = at.date(), count + 1 if at.date() == day else 1
            if count > MAX_TIMES_PER_DAY:
                at = _midnight(day + timedelta(days=1)) - ONE_MICROSECOND
    except InvalidSchedule:  # the recurrence has no further slot
        return


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
