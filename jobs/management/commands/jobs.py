"""List jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from flagsite.core.words import counted
from jobs.console.job_tables import JobsTable, documents_of
from jobs.console.selection_arguments import add_selection, selection_in
from jobs.engine.chains import tracked
from jobs.engine.states import Status

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = "List jobs, newest first."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=Status.values, type=str.upper, default="", metavar="STATUS",
                            help=f"one of {', '.join(Status.values)}")  # fmt: skip
        add_selection(parser)
        parser.add_argument("--flag", default="", help="jobs that concern this flag")
        parser.add_argument("--kind", default="", help="jobs of this kind, such as propagation or purge")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, limit: int, **options: Any) -> Answer:
        with snapshot():
            rows = list(selection_in(**options).jobs().order_by("-pk")[: limit + 1])
            jobs, more = tracked(rows[:limit]), len(rows) > limit
        output: list[Any] = [JobsTable(jobs)] if jobs else ["There are no such jobs."]
        if more:
            output.append(f"There are more than {counted(limit, 'job')}. To see more, use --limit.")
        return Answer({"results": documents_of(jobs), "more": more}, output)
