"""Pause a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.queue_tables import queue_document, queue_state
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = (
        "Pause a queue: none of its jobs starts until the queue is resumed, and running jobs go on. The pause survives "
        "restarts."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue", metavar="QUEUE")
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        paused = queue_operations.pause(queue, by=me(), reason=reason)
        return Answer(queue_document(paused), [f"The queue {paused.name} is {queue_state(paused)}."])
