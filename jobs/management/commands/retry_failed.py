"""Retry every chain that failed."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType

from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.job_tables import JobsTable, documents_of
from jobs.console.selection_arguments import add_selection, selection_in
from jobs.engine.chains import tracked
from jobs.operations.bulk import BulkResult, skip_clause
from jobs.operations.retry_failed import failed_batches, retry_failed
from jobs.operations.selection import Selection

MAX_LISTED_JOBS = 1_000
NO_FAILED_JOBS = "No failed job matches."


class Command(OperatorCommand):
    help = (
        "Start a new round of attempts for every chain whose latest attempt FAILED, or COMPLETED with organizations "
        "that failed (then for these organizations only). --since compares with the end of the latest attempt. The "
        "exit status is 1 if a chain was skipped."
    )

    def add_options(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument("--dry-run", action="store_true", help="only list what would be retried")
        add_reason(parser)

    def answer(self, *, dry_run: bool, reason: str, **options: Any) -> Answer:
        selection = selection_in(**options)
        if dry_run:
            return _would_retry(selection)
        console = terminal.error_console()

        def report_progress(so_far: BulkResult) -> None:
            if console.is_terminal:
                console.print(f"{so_far.count:,} retried so far")

        result = retry_failed(selection, by=me(), reason=reason, report_progress=report_progress)
        return Answer(_document(result), _output(result), failed=bool(result.skipped))


def _would_retry(selection: Selection) -> Answer:
    count = selection.failed().count()
    jobs = tracked(list(islice(chain.from_iterable(failed_batches(selection)), MAX_LISTED_JOBS)))
    output: list[RenderableType] = [JobsTable(jobs)] if jobs else []
    if count > len(jobs):
        output.append(f"and {count - len(jobs):,} more.")
    output.append(f"{count:,} would be retried; nothing was changed." if count else NO_FAILED_JOBS)
    return Answer({"dryRun": True, "wouldRetry": count, "results": documents_of(jobs)}, output)


def _document(result: BulkResult) -> dict[str, Any]:
    skipped = result.skipped.total()
    return {"dryRun": False, "retried": result.count, "skipped": skipped, "skippedBecause": dict(result.skipped)}


def _output(result: BulkResult) -> list[RenderableType]:
    if not result.count + result.skipped.total():
        return [NO_FAILED_JOBS]
    output: list[RenderableType] = [f"{result.count:,} retried, {result.skipped.total():,} skipped."]
    output += [f"{count:,} skipped: {skip_clause(reason, count)}." for reason, count in result.skipped.most_common()]
    return output
