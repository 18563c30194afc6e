"""Change the priority of jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.named_jobs import do_on_each, results_answer
from jobs.console.selection_arguments import priority as priority_of
from jobs.operations import job_operations
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY


class Command(OperatorCommand):
    help = "Change the priority of open jobs. The waiting job with the highest priority starts first."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "priority", type=priority_of, metavar="PRIORITY", help=f"from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
        )
        parser.add_argument("ids", type=row_id, nargs="+", metavar="ID", help="any attempt of the chain")
        add_reason(parser)

    def answer(self, *, priority: int, ids: list[int], reason: str, **options: Any) -> Answer:
        results = do_on_each(
            ids, lambda job_id: job_operations.set_priority(job_id=job_id, priority=priority, by=me(), reason=reason)
        )
        return results_answer(results, text=f"has the priority {priority} now: attempt", key="changedJobId")
