"""Cancel jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.named_jobs import do_on_each, results_answer
from jobs.operations import job_operations


class Command(OperatorCommand):
    help = "Cancel the open attempt of each job's chain: a waiting attempt at once, a running one at its next chunk."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("ids", type=row_id, nargs="+", metavar="ID", help="any attempt of the chain")
        add_reason(parser)

    def answer(self, *, ids: list[int], reason: str, **options: Any) -> Answer:
        results = do_on_each(ids, lambda job_id: job_operations.cancel(job_id=job_id, by=me(), reason=reason))
        return results_answer(results, text="cancelled: attempt", key="cancelledJobId")
