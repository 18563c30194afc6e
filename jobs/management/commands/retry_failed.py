"""Retry every chain that failed."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType
from rich.table import Column, Table

from jobs.retrying import MOST_NAMED, Retried, failed_batches, retry_failed
from jobs.selection import Selection
from jobs.selection_arguments import add_selection, selection_in
from jobs.showing import JobsTable, documents_of
from orgs import terminal
from orgs.command_arguments import add_reason
from orgs.operator_command import Answer, OperatorCommand, me


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
            tell=lambda so_far: console.print(f"{so_far.retried:,} retried so far") if console.is_terminal else None,
        )  # fmt: skip
        return Answer(_document(outcome), _shown(outcome), failed=outcome.skipped > 0)


def _would_retry(selection: Selection) -> Answer:
    selection.check()
    found = selection.failed().count()
    jobs = list(islice(chain.from_iterable(failed_batches(selection)), MOST_NAMED))
    shown: list[RenderableType] = [JobsTable(jobs)] if jobs else []
    if found > len(jobs):
        shown.append(f"and {found - len(jobs):,} more.")
    shown.append(f"{found:,} would be retried; nothing was changed." if found else "Nothing failed that matches.")
    return Answer({"dryRun": True, "wouldRetry": found, "results": documents_of(jobs)}, shown)


def _document(outcome: Retried) -> dict[str, Any]:
    return {
        "dryRun": False,
        "retried": outcome.retried,
        "skipped": outcome.skipped,
        "skippedBecause": dict(outcome.reasons),
        "results": [{"jobId": failed, "retryJobId": again} for failed, again in outcome.job_ids],
    }


def _shown(outcome: Retried) -> list[RenderableType]:
    if not outcome.retried + outcome.skipped:
        return ["Nothing failed that matches."]
    shown: list[RenderableType] = []
    if outcome.job_ids:
        shown.append(_pairs(outcome))
    if outcome.retried > len(outcome.job_ids):
        shown.append(f"and {outcome.retried - len(outcome.job_ids):,} more.")
    shown.append(f"{outcome.retried:,} retried, {outcome.skipped:,} skipped.")
    shown += [f"{number:,} skipped: {reason}." for reason, number in outcome.reasons.most_common()]
    return shown


def _pairs(outcome: Retried) -> Table:
    table = terminal.table(Column("Failed", justify="right"), Column("Retried by job", justify="right"))
    for failed, again in outcome.job_ids:
        table.add_row(str(failed), str(again))
    return table
