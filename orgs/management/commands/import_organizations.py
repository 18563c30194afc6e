"""The command import_organizations: create, rename and move organizations as a CSV file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import acting_as_command
from orgs.csv_import import importer
from orgs.errors import ImportRefused

STEPS = {
    importer.READING: "Reading the file",
    importer.COMPARING: "Comparing with the database",
    importer.COMPUTING: "Computing the tree",
    importer.WRITING: "Writing organizations",
    importer.TAKING_OVER: "Taking over flag states",
}


class Command(BaseCommand):
    help = (
        "Create, rename and move organizations until they are as FILE says. Organizations that are not in FILE stay "
        "unchanged. FILE is CSV in UTF-8 with the columns key, name and parent_key (empty for a root). The rows can be "
        "in any order. If a line has a problem, the command changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        add_reason(parser)

    def handle(self, *args: Any, file: Path, reason: str = "", **options: Any) -> None:
        try:
            with (
                acting_as_command(reason=reason),
                file.open("rb") as stream,
                ProgressDisplay(file.stat().st_size) as progress,
            ):
                report = importer.import_organizations(stream, progress=progress)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except ImportRefused as refused:
            raise CommandError(_lines_of(refused)) from refused
        self.stdout.write(_sentence(report))


def _sentence(report: importer.ImportReport) -> str:
    if report.unchanged == report.rows:
        return f"Nothing to change: all {report.rows:,} organizations are as the file says."
    sentence = (
        f"{report.created:,} organizations created, {report.renamed:,} renamed, {report.moved:,} moved, "
        f"{report.unchanged:,} unchanged."
    )
    if report.placement_jobs:
        sentence += f" Jobs that write their flag states: {len(report.placement_jobs):,}."
    return sentence


def _lines_of(refused: ImportRefused) -> str:
    lines = [f"line {line}: {problem}" for line, problem in refused.lines]
    if refused.count > len(lines):
        lines.append(f"and {refused.count - len(lines):,} more")
    return "\n".join([*lines, refused.detail])


class ProgressDisplay:
    """Shows the progress of an import: a bar on a terminal, otherwise one line for each step."""

    def __init__(self, file_size: int) -> None:
        self._file_size = file_size
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._step = ""
        self._task = self._bar.add_task("")

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show the step and the progress of the step."""
        if step != self._step:
            self._step = step
            if not self._console.is_terminal:
                self._console.print(f"{STEPS[step]} …")
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(STEPS[step], total=None)
        step_total = self._file_size if step == importer.READING else total
        self._bar.update(self._task, completed=done, total=step_total)
