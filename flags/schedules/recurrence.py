"""When a recurring change comes next: a cron expression, read in a time zone with all its changes of the clock.

A local time that the clock skips in spring comes when it skips; one that it shows twice in autumn comes the first time.
So every slot comes once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab

from flags.errors import InvalidSchedule

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
LONGEST_EXPRESSION = 100
OF_THE_MACHINE = frozenset({"localtime", "posixrules"})
SEARCHED_DAYS = 366 * 9
"""Long enough for 29 February across a century that is no leap year."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cron expression's slots in a zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Day of month and day of week are both given: as cron has it, one of them is enough."""
    zone: ZoneInfo

    def after(self, earlier: datetime) -> datetime:
        """The first slot after `earlier`, in UTC. Raises InvalidSchedule when there is none in nine years."""
        local = earlier.astimezone(self.zone).replace(tzinfo=None)
        for slot in self._slots(local.date()):
            if slot >= local.replace(second=0, microsecond=0):
                found = to_utc(slot, self.zone)
                if found > earlier:
                    return found
        raise InvalidSchedule("This cron expression names no day that comes in the next nine years.")

    def _slots(self, first: date) -> Iterator[datetime]:
        for offset in range(SEARCHED_DAYS):
            day = first + timedelta(days=offset)
            if self._is_on(day):
                yield from (datetime.combine(day, time(hour, minute)) for hour in self.hours for minute in self.minutes)

    def _is_on(self, day: date) -> bool:
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = by_date or by_weekday if self.either_day else by_date and by_weekday
        return day.month in self.months and fits


def recurrence(cron: str, time_zone: str) -> Recurrence:
    """The slots of five cron fields (minute, hour, day of month, month, day of week) in a zone such as Europe/Oslo.

    Raises InvalidSchedule.
    """
    words = cron.split()
    if len(words) != len(FIELDS) or not cron.isascii() or len(cron) > LONGEST_EXPRESSION:
        raise InvalidSchedule("A cron expression has five fields: minute, hour, day of month, month, day of week.")
    given = dict(zip(FIELDS, words, strict=True))
    given["day_of_week"] = ",".join(map(_with_sunday_as_0, given["day_of_week"].split(",")))
    try:
        parsed: Any = crontab(**given)
    except (ParseException, ValueError) as error:
        raise InvalidSchedule(f"The cron expression {cron!r} cannot be read: {error}") from error
    return Recurrence(
        tuple(sorted(parsed.minute)),
        tuple(sorted(parsed.hour)),
        frozenset(parsed.day_of_month),
        frozenset(parsed.month_of_year),
        frozenset(parsed.day_of_week),
        either_day="*" not in (given["day_of_month"][0], given["day_of_week"][0]),
        zone=zone_named(time_zone),
    )


def _with_sunday_as_0(days: str) -> str:
    """A weekday or a range of them in which 7 is Sunday, as Celery takes it, which knows no 7."""
    span, slash, step = days.partition("/")
    first, dash, last = span.partition("-")
    if last == "7":
        last = "6" if first == "0" or first.lower().startswith("sun") else "0"
    return f"{'0' if first == '7' else first}{dash}{last}{slash}{step}"


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name in the IANA database. Raises InvalidSchedule."""
    if name not in _zones():
        raise InvalidSchedule(f"There is no time zone {name!r}; write one such as Europe/Oslo or UTC.")
    return ZoneInfo(name)


@functools.cache
def _zones() -> frozenset[str]:
    """The names of the IANA database, without what else lies in a machine's folder of zones: `posix/`, `right/`, its
    own zone. Those mean something else, or nothing, on another machine."""
    return frozenset(available_timezones() - OF_THE_MACHINE)


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of the zone ever show this local time."""
    return local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == local


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """The time in UTC at which the zone's clocks first show this local time, or skip it."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if exists(local, zone):
        return first
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle in (before, after):
            break
        before, after = (before, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, after)
    return after
