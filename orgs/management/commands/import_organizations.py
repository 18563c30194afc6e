"""The command import_organizations: create, rename and move organizations as a file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandParser
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, Refused, WrongUsage
from orgs.access.visible_organizations import find_organization
from orgs.errors import ImportRefused, InvalidImportOption
from orgs.importing import importer, report, staging, value_effects
from orgs.importing.importer import ImportReport
from orgs.importing.options import COLUMNS, ImportOptions, columns_in

STEPS = {
    importer.READING: "Reading the file",
    importer.COMPARING: "Comparing with the database",
    importer.COMPUTING: "Computing the tree",
    importer.WRITING: "Writing organizations",
    importer.TAKING_OVER: "Taking over flag states",
}


class Command(OperatorCommand):
    help = (
        "Create, rename and move organizations until they are as FILE says. Organizations that are not in FILE stay "
        "unchanged. FILE is CSV in UTF-8 or an Excel workbook (.xlsx), with the columns key, name and parent_key "
        "(empty for a root), and perhaps columns such as attribute:plan. The rows can be in any order. If a line has "
        "a problem, the command changes nothing."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--report", type=Path, metavar="CSV", help="write all changes or problems to this file")
        parser.add_argument(
            "--below", metavar="ORG", help="change the subtree of ORG only; rows without parent_key go below it"
        )
        parser.add_argument("--key-prefix", default="", metavar="TEXT", help="put TEXT before each key and parent_key")
        parser.add_argument(
            "--columns",
            default="",
            metavar="key=code,…",
            help=f"the names of the file's columns for {', '.join(COLUMNS)}",
        )
        parser.add_argument("--delimiter", default=",", metavar="CHARACTER", help="the delimiter of a CSV file, or tab")
        parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="the encoding of a CSV file")
        parser.add_argument("--move-between-trees", action="store_true", help="allow moves to another tree")
        add_reason(parser)

    def answer(self, *, file: Path, dry_run: bool, **options: Any) -> Answer:
        try:
            with ExitStack() as stack:
                stream = stack.enter_context(file.open("rb"))
                progress = stack.enter_context(ProgressDisplay(file.stat().st_size))
                on_changes = stack.enter_context(_report_file(options["report"]))
                result = importer.import_organizations(
                    stream, options=_options(**options), progress=progress, dry_run=dry_run, on_changes=on_changes
                )  # fmt: skip
        except OSError as error:
            raise Refused(f"{error.filename or file} cannot be opened: {error.strerror}.") from error
        except ImportRefused as refused:
            raise Refused(_lines_of(refused)) from refused
        return Answer(_document(result, dry_run=dry_run), _shown(result, dry_run=dry_run))


def _options(
    *,
    below: str | None,
    key_prefix: str,
    columns: str,
    delimiter: str,
    encoding: str,
    move_between_trees: bool,
    **_: Any,
) -> ImportOptions:
    try:
        return ImportOptions(
            columns=columns_in(columns),
            key_prefix=key_prefix,
            delimiter=delimiter,
            encoding=encoding,
            move_between_trees=move_between_trees,
            below_id=find_organization(below).pk if below else None,
        )
    except InvalidImportOption as error:
        raise WrongUsage(f"--{error.option.replace('_', '-')}: {error.detail}") from error


@contextmanager
def _report_file(path: Path | None) -> Iterator[Any]:
    """Yield a function that writes all changes to the file; if the file is refused, write all problems instead."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        try:
            yield lambda: _write_again(stream, ((*change, "") for change in staging.all_changes()))
        except ImportRefused as refused:
            _write_again(stream, report.problem_rows(refused.lines))
            raise


def _write_again(stream: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write the rows instead of what the file has."""
    if stream.seekable():
        stream.seek(0)
        stream.truncate()
    stream.writelines(report.csv_lines(rows))


def _document(result: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    counts = {
        name: getattr(result, name) for name in ("rows", "created", "renamed", "moved", "attributes", "unchanged")
    }
    return {
        "dryRun": dry_run,
        **counts,
        "placementJobs": list(result.placement_jobs),
        **({"values": result.values.as_json() if result.values else None} if dry_run else {}),
        "changes": [report.as_json(change) for change in result.changes],
    }


def _shown(result: ImportReport, *, dry_run: bool) -> list[str]:
    """Return the renames and moves by name, in a dry run the creations too, and then the counts."""
    listed = [change for change in result.changes if dry_run or change.change != "create"]
    lines = [escape(report.described(change)) for change in listed]
    hidden = (result.changing if dry_run else result.changing - result.created) - len(listed)
    if hidden > 0:
        lines.append(f"and {hidden:,} more; --report writes all of them to a file")
    sentence = report.sentence(result, dry_run=dry_run)
    if result.placement_jobs:
        sentence += f" Jobs that write their flag states: {len(result.placement_jobs):,}."
    effects = result.values.as_json() if result.values else None
    values = value_effects.sentences(effects) if dry_run and result.moved else []
    return [*lines, sentence, *map(escape, values)]


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
