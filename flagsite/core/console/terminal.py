"""What commands print for people: tables and words, in colour on a terminal, one row a line in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

ONE_LINE_EACH = 100_000
"""Columns of a "terminal" that is a pipe or a file: nothing is wrapped or cut there."""
MINUTE, HOUR, DAY = 60, 3600, 86400


def console_for(stream: IO[str], *, no_color: bool = False, force_color: bool = False) -> Console:
    """A console that prints text as it is; markup in data stays text."""
    console = Console(
        file=stream, markup=False, emoji=False, highlight=False,
        force_terminal=True if force_color else None, no_color=True if no_color else None,
    )  # fmt: skip
    if not console.is_terminal:
        console.width = ONE_LINE_EACH
    return console


def error_console() -> Console:
    """For what people should see beside a command's answer: bars, notes."""
    return console_for(sys.stderr)


def rendered(console: Console, shown: Iterable[RenderableType]) -> str:
    """What the console would print, without the white space that tables leave at the ends of lines."""
    with console.capture() as capture:
        for one in shown:
            console.print(line(one) if isinstance(one, str) else one, soft_wrap=isinstance(one, str | Text))
    text = capture.get()
    return text if console.is_terminal else "".join(f"{row.rstrip()}\n" for row in text.splitlines())


def plain(words: str) -> str:
    """The words on one line, with every character that could steer a terminal shown as �."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in words)


def line(words: str, style: str = "") -> Text:
    """Words that come from anywhere, safe to print."""
    return Text(plain(words), style=style)


def table(*columns: Column | str) -> Table:
    """A table without lines around it; fill it with `add_row(*cells(…))`."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def facts(pairs: Iterable[tuple[str, str | Text | None]]) -> Table:
    """Names and values, one pair a line; pairs without a value are left out."""
    grid = Table.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for name, value in pairs:
        if value is not None and str(value):
            grid.add_row(name, *cells(value))
    return grid


def cells(*values: Any) -> list[Text]:
    """Values as the cells of a row: texts as they are, None as nothing, whole numbers with thousands marked."""
    return [value if isinstance(value, Text) else line(_words(value)) for value in values]


def at(moment: datetime | None) -> str:
    """A moment in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def iso(moment: datetime | None) -> str | None:
    """A moment as JSON has it, the way the API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def for_how_long(time: timedelta) -> str:
    """A length of time in one or two units."""
    seconds = max(0.0, time.total_seconds())
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"


def _words(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
