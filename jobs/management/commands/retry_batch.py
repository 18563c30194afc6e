"""Retry what failed in a batch."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.batches.operations import retry_failed_members
from jobs.console.batch_tables import operation_answer


class Command(OperatorCommand):
    help = (
        "Start a new round of attempts for each member of a batch that failed. A batch that has ended is open again "
        "afterwards, and the job that follows its end is created once more at the next end."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="BATCH")
        add_reason(parser)

    def answer(self, *, id: int, reason: str, **options: Any) -> Answer:  # noqa: A002 - the argument's name
        return operation_answer(retry_failed_members(id, by=me(), reason=reason), "retried")
