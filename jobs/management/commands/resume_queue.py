"""Resume a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs import queues
from jobs.queues_shown import queue_document
from orgs.command_arguments import add_reason
from orgs.operator_command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Let the jobs of a paused queue start again."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue")
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        resumed = queues.resume(queue, by=me(), reason=reason)
        return Answer(queue_document(resumed), [f"The queue {resumed.name} is open."])
