"""Create a periodic task."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from flagsite.periodic_tasks import operations
from flagsite.periodic_tasks.console import add_options, document_of, naming_options, schedule_of, values_in


class Command(OperatorCommand):
    help = "Create a task that beat sends again and again, with --every or with --cron."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="unique, for people")
        add_options(parser, needs_schedule=True)
        add_reason(parser)

    def answer(self, *, name: str, **options: Any) -> Answer:
        values = values_in(options)
        if "task" not in values:
            raise WrongUsage("Name the task with --task, such as --task jobs.clean_up.")
        with naming_options():
            task = operations.create({"name": name, **values})
        return Answer(document_of(task), [f"{task.name} (id {task.pk}) is created: {schedule_of(task)}."])
