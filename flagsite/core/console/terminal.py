"""Output of commands for people: tables and text, in colour on a terminal, and one row per line in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

UNLIMITED_WIDTH = 100_000
"""The width in characters for a pipe or a file, so that no text is wrapped or cut there."""
MINUTE, HOUR, DAY = 60, 3600, 86400


def console_for(stream: IO[str], *, no_color: bool = False, force_color: bool = False) -> Console:
    """Return a console that prints text unchanged, without interpreting markup in it."""
    console = Console(
        file=stream, markup=False, emoji=False, highlight=False,
        force_terminal=True if force_color else None, no_color=True if no_color else None,
    )  # fmt: skip
    if not console.is_terminal:
        console.width = UNLIMITED_WIDTH
    return console


def error_console() -> Console:
    """Return a console for output beside a command's answer, such as progress bars and notes."""
    return console_for(sys.stderr)


def render(console: Console, shown: Iterable[RenderableType]) -> str:
    """Return the console's output as text; in a pipe or a file without white space at the ends of lines."""
    with console.capture() as capture:
        for item in shown:
            console.print(line(item) if isinstance(item, str) else item, soft_wrap=isinstance(item, str | Text))
    text = capture.get()
    return text if console.is_terminal else "".join(f"{row.rstrip()}\n" for row in text.splitlines())


def plain(text: str) -> str:
    """Return the text in one line, with � for every character that could control a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def line(text: str, style: str = "") -> Text:
    """Return text from any source in a form that is safe to print."""
    return Text(plain(text), style=style)


def table(*columns: Column | str) -> Table:
    """Return a table without borders; fill it with `add_row(*cells(…))`."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def facts(pairs: Iterable[tuple[str, str | Text | None]]) -> Table:
    """Return a table of names and values, one pair per line, without the pairs that have no value."""
    grid = Table.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for name, value in pairs:
        if value is not None and str(value):
            grid.add_row(name, *cells(value))
    return grid


def cells(*values: Any) -> list[Text]:
    """Return values as the cells of a row: None is empty, and integers have thousands separators."""
    return [value if isinstance(value, Text) else line(_to_text(value)) for value in values]


def format_time(moment: datetime | None) -> str:
    """Return a time in UTC, to the second; None is empty."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def iso(moment: datetime | None) -> str | None:
    """Return a time in the format of the API's JSON."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def format_duration(time: timedelta) -> str:
    """Return a duration in one or two units, such as "3.2 s" or "2 h 1 min"."""
    seconds = max(0.0, time.total_seconds())
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
