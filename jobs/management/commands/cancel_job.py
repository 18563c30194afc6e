"""Cancel jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.named_jobs import do_each, outcomes_answer
from jobs.operations import job_operations


class Command(OperatorCommand):
    help = "Cancel what is open of each job's chain: a waiting attempt at once, a running one at its next chunk."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("ids", type=row_id, nargs="+", metavar="ID", help="any attempt of the chain")
        add_reason(parser)

    def answer(self, *, ids: list[int], reason: str, **options: Any) -> Answer:
        done = do_each(ids, lambda job_id: job_operations.cancel(job_id=job_id, by=me(), reason=reason))
        return outcomes_answer(done, word="cancelled: attempt", key="cancelledJobId")
