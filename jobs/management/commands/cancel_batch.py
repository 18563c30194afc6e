"""Cancel a batch."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.batches.operations import cancel
from jobs.console.batch_tables import operation_answer


class Command(OperatorCommand):
    help = "Cancel each open member of a batch: a waiting one at once, a running one at its next chunk."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="BATCH")
        add_reason(parser)

    def answer(self, *, id: int, reason: str, **options: Any) -> Answer:  # noqa: A002 - the argument's name
        return operation_answer(cancel(id, by=me(), reason=reason), "cancelled")
