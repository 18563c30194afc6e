"""Resume a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.queue_tables import queue_document
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Resume a paused queue: its jobs start again."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue", metavar="QUEUE")
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        resumed = queue_operations.resume(queue, by=me(), reason=reason)
        return Answer(queue_document(resumed), [f"The queue {resumed.name} is open."])
