"""What a report consists of: key figures, charts and tables with typed columns. Writers make files of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

Row = Sequence[Any]
MINUTE = 60
"""The seconds of a minute, and the minutes of an hour."""


class CellType(StrEnum):
    """The type of the values of a column; each value may also be None."""

    TEXT = "text"
    NUMBER = "number"
    """The number that names something, such as an id."""
    COUNT = "count"
    SHARE = "share"
    """A number from 0 to 1."""
    SECONDS = "seconds"
    DAY = "day"
    TIME = "time"
    """A time with its offset."""


NUMBERS = frozenset({CellType.NUMBER, CellType.COUNT, CellType.SHARE, CellType.SECONDS})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `name` is for programs, `title` for people, and `width` its share of a page's width."""

    name: str
    title: str
    type: CellType = CellType.TEXT
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report. `rows` may be an iterator over millions of rows, whose number is `count`.

    `note` explains the table, and `empty` is the sentence in its place if it has no rows.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Iterable[Row]
    count: int
    note: str = ""
    empty: str = "Nothing in this period."


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure that a reader wants to see first."""

    name: str
    title: str
    value: Any
    type: CellType = CellType.COUNT
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one colour of a chart, one for each of its labels."""

    title: str
    colour: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: columns over days, or bars with a label each. The series of a chart are stacked."""

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    type: CellType = CellType.COUNT
    is_over_time: bool = False

    @property
    def sums(self) -> list[float]:
        """The sum of the values of each label."""
        return [sum(values) for values in zip(*(one.values for one in self.series), strict=True)]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a report. `notes` say what they do not contain."""

    key_figures: Sequence[KeyFigure]
    charts: Sequence[Chart]
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=list)
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a report: its title, its period, its organization, and when it was made."""

    report: str
    title: str
    first: date
    last: date
    period: str
    organization_id: int | None
    organization: str
    made_at: datetime
    slug: str = ""
    """The beginning of the names of its files."""


def in_words(value: Any, type_: CellType) -> str:
    """Return a value for people: 1,234 or 12.3 % or 1 min 20 s or 2026-11-30 10:15."""
    if value is None:
        return "–"
    if type_ == CellType.COUNT:
        return f"{value:,}"
    if type_ == CellType.SHARE:
        return f"{value:.1%}".replace("%", "\N{NO-BREAK SPACE}%")
    if type_ == CellType.SECONDS:
        return duration_in_words(value)
    if type_ == CellType.TIME:
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return str(value)


def duration_in_words(seconds: float) -> str:
    """Return a duration for people: 12 ms, 3.4 s, 2 min 5 s, 1 h 10 min."""
    space = "\N{NO-BREAK SPACE}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}{space}ms"
    if seconds < MINUTE:
        return f"{seconds:.1f}{space}s"
    minutes, rest = divmod(round(seconds), MINUTE)
    if minutes < MINUTE:
        return f"{minutes}{space}min {rest}{space}s"
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours}{space}h {minutes}{space}min"
