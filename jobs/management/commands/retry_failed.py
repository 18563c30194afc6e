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
from jobs.operations.bulk import BulkResult, said_of
from jobs.operations.retry_failed import failed_batches, retry_failed
from jobs.operations.selection import Selection

MOST_LISTED = 1_000


class Command(OperatorCommand):
    help = (
        "Start a new round of attempts for every chain whose latest attempt FAILED, or COMPLETED with organizations "
        "that failed (then only for those). --since counts from when it ended. Exit status 1 when one was skipped."
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
        outcome = retry_failed(
            selection, by=me(), reason=reason,
            tell=lambda so_far: console.print(f"{so_far.count:,} retried so far") if console.is_terminal else None,
        )  # fmt: skip
        return Answer(_document(outcome), _shown(outcome), failed=bool(outcome.skipped))


def _would_retry(selection: Selection) -> Answer:
    selection.check()
    found = selection.failed().count()
    jobs = list(islice(chain.from_iterable(failed_batches(selection)), MOST_LISTED))
    shown: list[RenderableType] = [JobsTable(jobs)] if jobs else []
    if found > len(jobs):
        shown.append(f"and {found - len(jobs):,} more.")
    shown.append(f"{found:,} would be retried; nothing was changed." if found else "Nothing failed that matches.")
    return Answer({"dryRun": True, "wouldRetry": found, "results": documents_of(jobs)}, shown)


def _document(outcome: BulkResult) -> dict[str, Any]:
    skipped = outcome.skipped.total()
    return {"dryRun": False, "retried": outcome.count, "skipped": skipped, "skippedBecause": dict(outcome.skipped)}


def _shown(outcome: BulkResult) -> list[RenderableType]:
    if not outcome.count + outcome.skipped.total():
        return ["Nothing failed that matches."]
    shown: list[RenderableType] = [f"{outcome.count:,} retried, {outcome.skipped.total():,} skipped."]
    shown += [f"{number:,}: {said_of(reason, number)}." for reason, number in outcome.skipped.most_common()]
    return shown
