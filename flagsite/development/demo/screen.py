"""What the demo shows: on a terminal with colour and moving bars, elsewhere as plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

ShowProgress = Callable[[int, int, str], None]
"""Called with how many are done, of how many, and the job's status."""


class Screen:
    """The demo's part of the terminal: standard output."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)

    def title(self, name: str, words: str) -> None:
        """The head line."""
        self.console.print(f"\n  [bold]{name}[/]  [dim]{words}[/]\n")

    def head(self, words: str) -> None:
        """The head of a part."""
        self.console.print(f"\n  [bold]{words}[/]")

    def line(self, words: str = "") -> None:
        """A line as it is, however long, so that it can be copied whole."""
        self.console.print(Text(f"  {words}" if words else ""), soft_wrap=True)

    def warn(self, words: str) -> None:
        """Something that the reader should know, though all goes on."""
        self.console.print(f"  [yellow]![/] {escape(words)}")

    def done(self, words: str, seconds: float) -> None:
        """What has been achieved, and in which time."""
        self.console.print(f"  [green]✓[/] {words}  [dim]{seconds:.1f} s[/]", soft_wrap=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[list[str]]:
        """Show what is being done; afterwards what the block has put into the list instead."""
        words: list[str] = []
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{doing} …"):
                yield words
        else:
            yield words
        self.done(" ".join(words) or doing, time.monotonic() - began)

    @contextmanager
    def progress(self) -> Iterator[ShowProgress]:
        """A bar for a job; on paper a line for each quarter."""
        if not self.console.is_terminal:
            yield _lines(self.console)
            return
        columns = [BarColumn(40), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        with Progress(TextColumn(" "), *columns, console=self.console) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total, status: bar.update(
                task, completed=done, total=total or None, description=f"{done:,} of {total:,}  [dim]{status}[/]"
            )

    def value(self, path: list[str], *, enabled: bool, right: bool) -> None:
        """One organization, named from the root down, and the value that it has."""
        mark = Text("✓ ", style="green") if right else Text("✗ ", style="bold red")
        word = Text("on  " if enabled else "off ", style="bold")
        above = Text("".join(f"{name} › " for name in path[:-1]), style="dim")
        self.console.print(Text("  ") + mark + word + above + Text(path[-1]), soft_wrap=True)


def _lines(console: Console) -> ShowProgress:
    shown = -1

    def show(done: int, total: int, status: str) -> None:
        nonlocal shown
        quarter = 4 * done // total if total else 0
        if quarter > shown:
            shown = quarter
            console.print(f"    {status} {done:,} of {total:,}")

    return show
