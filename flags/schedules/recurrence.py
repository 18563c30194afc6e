"""The slots of a recurring change: the times of a cron expression in a time zone with daylight saving time.

Every slot happens exactly once. If the clock skips the slot's local time in spring, the slot is at the moment of the
skip. If the clock shows the local time twice in autumn, the slot is at the first one.
"""

from __future__ import annotations

import calendar
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab

from flags.errors import InvalidSchedule

NAMES = {
    "month_of_year": tuple(name.lower() for name in calendar.month_name[1:]),
    "day_of_week": tuple(name.lower() for name in calendar.day_name),
}
"""The names that a field understands, whole or by their first three letters."""
NUMBER = "[0-9]{1,2}"
VALUES = {
    field: "|".join((NUMBER, *names, *(name[:3] for name in names))) for field, names in NAMES.items()
}  # fmt: skip
PART = r"(?:\*|(?:{value})-(?:{value}))(?:/0?[1-9][0-9]?)?|{value}"
"""One part of a field, where `value` is a number or a name."""
NUMBERS_PART = re.compile(PART.replace("{value}", NUMBER))
PARTS = {
    "month_of_year": re.compile(PART.replace("{value}", VALUES["month_of_year"]), re.IGNORECASE),
    "day_of_week": re.compile(PART.replace("{value}", VALUES["day_of_week"]), re.IGNORECASE),
}
LONGEST_STEPS = {"minute": 60, "hour": 24, "day_of_month": 31, "month_of_year": 12, "day_of_week": 7}
"""The numbers of values of the fields. A longer step, such as `*/61`, would mean every hour, not every 61 minutes."""
FIELDS = tuple(LONGEST_STEPS)
MAX_EXPRESSION_LENGTH = 100
MACHINE_ZONES = frozenset({"localtime", "posixrules"})
"""Names for the zone of the machine, which mean another zone on another machine."""
SEARCHED_DAYS = 366 * 9
"""Long enough to find the next 29 February, even if the year of a new century has none."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A parsed cron expression with its time zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Whether both day of month and day of week are given. Then one of them has to match, as in cron."""
    zone: ZoneInfo

    def after(self, earlier: datetime) -> datetime:
        """Return the first slot after `earlier`, in UTC. Raises InvalidSchedule if there is none in nine years."""
        local = earlier.astimezone(self.zone).replace(tzinfo=None)
        for slot in self._slots(local.date()):
            if slot >= local.replace(second=0, microsecond=0):
                found = to_utc(slot, self.zone)
                if found > earlier:
                    return found
        raise InvalidSchedule("This cron expression matches no day in the next nine years.")

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
    """Parse five cron fields (minute, hour, day of month, month, day of week) for a time zone such as Europe/Oslo.

    Raises InvalidSchedule.
    """
    words = cron.split()
    if len(words) != len(FIELDS) or not cron.isascii() or len(cron) > MAX_EXPRESSION_LENGTH:
        raise InvalidSchedule("A cron expression has five fields: minute, hour, day of month, month, day of week.")
    given = dict(zip(FIELDS, words, strict=True))
    for field, text in given.items():
        check_field(field, text)
    given["day_of_week"] = ",".join(map(_with_sunday_as_0, given["day_of_week"].split(",")))
    try:
        parsed: Any = crontab(**given)
    except (ParseException, ValueError) as error:
        raise InvalidSchedule(f"The cron expression {cron!r} is not valid: {error}") from error
    return Recurrence(
        tuple(sorted(parsed.minute)),
        tuple(sorted(parsed.hour)),
        frozenset(parsed.day_of_month),
        frozenset(parsed.month_of_year),
        frozenset(parsed.day_of_week),
        either_day="*" not in (given["day_of_month"][0], given["day_of_week"][0]),
        zone=zone_named(time_zone),
    )


def check_field(field: str, text: str) -> None:
    """Check that every part of a cron field is understood whole. Celery would ignore the end of `mon#1`.

    Args:
        field: one of FIELDS, such as `day_of_week`.
        text: the field as a person has written it.

    Raises:
        InvalidSchedule: names the part, and says what is understood.
    """
    names = NAMES.get(field, ())
    part = PARTS.get(field, NUMBERS_PART)
    for written in text.split(","):
        if not part.fullmatch(written):
            example = f"a name such as {names[1][:3]}, " if names else ""
            raise InvalidSchedule(
                f"{written!r} is not understood in the field {field.replace('_', ' ')}. A field has one or several "
                f"parts with commas between them. A part is *, a number, {example}a range such as 1-5, or a step such "
                "as */2 or 1-9/2. Other signs, such as #, L, W and ?, are not understood."
            )
        step = int(written.partition("/")[2] or 1)
        if step > LONGEST_STEPS[field]:
            raise InvalidSchedule(
                f"The step of {written!r} is too long for the field {field.replace('_', ' ')}: steps begin anew with "
                f"each field, so the longest one is {LONGEST_STEPS[field]}. For longer ones, name the values."
            )


def _with_sunday_as_0(days: str) -> str:
    """Convert weekdays in which 7 is Sunday to the format of Celery, in which only 0 is Sunday."""
    span, slash, step = days.partition("/")
    first, dash, last = span.partition("-")
    if last == "7":
        last = "6" if first == "0" or first.lower().startswith("sun") else "0"
    return f"{'0' if first == '7' else first}{dash}{last}{slash}{step}"


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone with this name in the IANA database. Raises InvalidSchedule."""
    if name not in _zones():
        raise InvalidSchedule(f"There is no time zone {name!r}. Write a name such as Europe/Oslo or UTC.")
    return ZoneInfo(name)


@functools.cache
def _zones() -> frozenset[str]:
    """Return the names of the IANA database, without the names of MACHINE_ZONES."""
    return frozenset(available_timezones() - MACHINE_ZONES)


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Return whether this local time exists in the zone, that is, the clock does not skip it."""
    return local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == local


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the time in UTC at which the zone's clock first shows this local time, or skips it."""
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
