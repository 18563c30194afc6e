"""Delete a periodic task."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.periodic_tasks import operations


class Command(OperatorCommand):
    help = "Delete a periodic task, and its interval or crontab if no other task uses it."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("periodic_task", metavar="NAME", help="the name or the id")
        add_reason(parser)

    def answer(self, *, periodic_task: str, **options: Any) -> Answer:
        task = operations.find(periodic_task)
        operations.delete(task.pk)
        return Answer({"id": task.pk, "name": task.name, "deleted": True}, [f"{task.name} is deleted."])
