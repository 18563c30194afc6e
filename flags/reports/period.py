"""The period of a report: whole days in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from jobs.errors import InvalidJobArguments

LONGEST_DAYS = 366


class PeriodName(StrEnum):
    """The periods that have a name. All of them end before today, so that their figures do not change any more."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    LAST_MONTH = "last-month"


LENGTHS = {PeriodName.DAY: 1, PeriodName.WEEK: 7, PeriodName.MONTH: 30}
WORDS = {
    PeriodName.DAY: "Yesterday",
    PeriodName.WEEK: "The last 7 days before today",
    PeriodName.MONTH: "The last 30 days before today",
    PeriodName.LAST_MONTH: "The last calendar month",
}


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first moment of the period."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The first moment after the period."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def days(self) -> list[date]:
        """All days of the period."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def words(self) -> str:
        """The period as a text, such as "1–30 November 2026"."""
        first, last = self.first, self.last
        end = f"{last.day} {last:%B %Y}"
        if first == last:
            return end
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day}–{end}"
        return f"{first.day} {first:%B}{'' if first.year == last.year else f' {first.year}'} – {end}"

    @property
    def slug(self) -> str:
        """The period as a part of the name of a file: 2026-11, or 2026-11-01-to-2026-11-07, or 2026-11-01."""
        if self.first == self.last:
            return self.first.isoformat()
        next_month = (self.first.replace(day=28) + timedelta(days=4)).replace(day=1)
        if self.first.day == 1 and self.end.date() == next_month:
            return f"{self.first:%Y-%m}"
        return f"{self.first}-to-{self.last}"


def period_of(arguments: Mapping[str, Any], *, today: date) -> Period:
    """Return the period that the arguments of a report name: `from` and `to`, or `period`, or the last month.

    `today` is the day in UTC on which the report was requested. Raises InvalidJobArguments.
    """
    if "from" in arguments:
        return _between(_day(arguments, "from"), _day(arguments, "to"), today=today)
    name = PeriodName(arguments.get("period", PeriodName.LAST_MONTH))
    if name in LENGTHS:
        return Period(today - timedelta(days=LENGTHS[name]), today - timedelta(days=1))
    last = today.replace(day=1) - timedelta(days=1)
    return Period(last.replace(day=1), last)


def _day(arguments: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(arguments[name])
    except (KeyError, ValueError):
        raise InvalidJobArguments({f"arguments.{name}": "Name a day such as 2026-11-30."}) from None


def _between(first: date, last: date, *, today: date) -> Period:
    if last < first:
        raise InvalidJobArguments({"arguments.to": f"{last} is before {first}. Name a day that is not before `from`."})
    if first > today:
        raise InvalidJobArguments({"arguments.from": f"{first} is in the future. Name a day that has begun."})
    if (last - first).days >= LONGEST_DAYS:
        raise InvalidJobArguments({"arguments.to": f"A report covers {LONGEST_DAYS} days at most."})
    return Period(first, last)
