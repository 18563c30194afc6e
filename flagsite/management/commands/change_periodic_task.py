"""Change a periodic task."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from flagsite.periodic_tasks import operations
from flagsite.periodic_tasks.console import add_options, document_of, naming_options, schedule_of, values_in


class Command(OperatorCommand):
    help = (
        "Change a periodic task. What you leave out does not change. --every takes the place of --cron, and vice versa."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("periodic_task", metavar="NAME", help="the name or the id")
        parser.add_argument("--name", metavar="NEW", help="a new name")
        add_options(parser)
        add_reason(parser)

    def answer(self, *, periodic_task: str, name: str | None, **options: Any) -> Answer:
        values = values_in(options) | ({"name": name} if name is not None else {})
        if not values:
            raise WrongUsage("Nothing to change: write at least one option, such as --disable.")
        with naming_options():
            task = operations.change(operations.find(periodic_task).pk, values)
        state = "enabled" if task.enabled else "disabled"
        return Answer(document_of(task), [f"{task.name} (id {task.pk}) is changed: {schedule_of(task)}, {state}."])
