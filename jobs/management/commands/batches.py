"""List batches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from flagsite.core.words import counted
from jobs.batches.models import Batch, BatchOutcome
from jobs.batches.serializers import OPEN
from jobs.console.batch_tables import batch_documents, batches_table

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = "List batches, newest first."

    def add_options(self, parser: CommandParser) -> None:
        choices = [OPEN, *BatchOutcome.values]
        parser.add_argument("--outcome", choices=choices, type=str.upper, metavar="OUTCOME",
                            help=f"one of {', '.join(choices)}")  # fmt: skip
        parser.add_argument("--key", default="", help="batches with this key")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, outcome: str | None, key: str, limit: int, **options: Any) -> Answer:
        batches = Batch.objects.order_by("-pk")
        if outcome is not None:
            batches = batches.filter(outcome="" if outcome == OPEN else outcome)
        with snapshot():
            rows = list((batches.filter(key=key) if key else batches)[: limit + 1])
            documents, more = batch_documents(rows[:limit]), len(rows) > limit
            output: list[Any] = [batches_table(rows[:limit])] if rows else ["There are no such batches."]
        if more:
            output.append(f"There are more than {counted(limit, 'batch', 'batches')}. To see more, use --limit.")
        return Answer({"results": documents, "more": more}, output)
