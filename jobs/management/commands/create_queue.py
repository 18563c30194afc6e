"""Create a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.queue_settings import add_settings, settings_in
from jobs.console.queue_tables import queue_document
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Create a queue. Jobs wait in it whose request names it, and a worker has to serve it."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue", metavar="QUEUE")
        add_settings(parser)
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        created = queue_operations.create(queue, by=me(), reason=reason, **settings_in(options))
        text = f"The queue {created.name} is created. Workers without the option --queue serve it at once."
        return Answer(queue_document(created), [text])
