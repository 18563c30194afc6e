"""The output of the demo: with colours and a progress bar on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

ShowProgress = Callable[[int, int, str], None]
"""A function with the arguments: number of organizations done, number of all organizations, status of the job."""


class Screen:
    """Writes the demo's output to standard output."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)

    def title(self, name: str, text: str) -> None:
        """Print the title of the demo."""
        self.console.print(f"\n  [bold]{name}[/]  [dim]{text}[/]\n")

    def head(self, text: str) -> None:
        """Print the heading of a part."""
        self.console.print(f"\n  [bold]{text}[/]")

    def line(self, text: str = "") -> None:
        """Print a line without wrapping it, so that a person can copy it."""
        self.console.print(Text(f"  {text}" if text else ""), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.print(f"  [yellow]![/] {escape(text)}")

    def done(self, text: str, seconds: float) -> None:
        """Print a step that is done, and the time that it took."""
        self.console.print(f"  [green]✓[/] {text}  [dim]{seconds:.1f} s[/]", soft_wrap=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[list[str]]:
        """Show `doing` while the block runs. Afterwards show the texts that the block has put into the list."""
        results: list[str] = []
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{doing} …"):
                yield results
        else:
            yield results
        self.done(" ".join(results) or doing, time.monotonic() - began)

    @contextmanager
    def progress(self) -> Iterator[ShowProgress]:
        """Yield a function that shows the progress of a job: a bar on a terminal, elsewhere a line for each quarter."""
        if not self.console.is_terminal:
            yield _progress_lines(self.console)
            return
        columns = [BarColumn(40), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        with Progress(TextColumn(" "), *columns, console=self.console) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total, status: bar.update(
                task, completed=done, total=total or None, description=f"{done:,} of {total:,}  [dim]{status}[/]"
            )

    def value(self, path: list[str], *, enabled: bool, is_correct: bool) -> None:
        """Print the value of an organization; `path` has the names from the root to the organization."""
        mark = Text("✓ ", style="green") if is_correct else Text("✗ ", style="bold red")
        word = Text("on  " if enabled else "off ", style="bold")
        above = Text("".join(f"{name} › " for name in path[:-1]), style="dim")
        self.console.print(Text("  ") + mark + word + above + Text(path[-1]), soft_wrap=True)


def _progress_lines(console: Console) -> ShowProgress:
    last_quarter = -1

    def show(done: int, total: int, status: str) -> None:
        nonlocal last_quarter
        quarter = 4 * done // total if total else 0
        if quarter > last_quarter:
            last_quarter = quarter
            console.print(f"    {status} {done:,} of {total:,}")

    return show
