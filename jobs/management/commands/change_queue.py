"""Change the settings of a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me
from jobs.console.queue_settings import add_settings, settings_in
from jobs.console.queue_tables import queue_document
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = (
        "Change the settings of a queue. What is not given stays. A new concurrency counts from the next start of a "
        "job on, the other settings from the next failure on."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue", metavar="QUEUE")
        add_settings(parser)
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        given = settings_in(options)
        if not given:
            raise WrongUsage("Nothing to change: give an option, such as --concurrency.")
        changed = queue_operations.change(queue, by=me(), reason=reason, **given)
        settings = ", ".join(f"{name.replace('_', ' ')} {getattr(changed, name)}" for name in given)
        return Answer(queue_document(changed), [f"The queue {changed.name} has now: {settings}."])
