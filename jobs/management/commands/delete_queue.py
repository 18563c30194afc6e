"""Delete a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Delete a queue. A queue stays while it has open jobs, and as long as the jobs of a kind wait in it."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue", metavar="QUEUE")
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        queue_operations.delete(queue, by=me(), reason=reason)
        return Answer({"deleted": queue}, [f"The queue {queue} is deleted."])
