"""Run periodic tasks now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.periodic_tasks import operations


class Command(OperatorCommand):
    help = "Run a periodic task now, as beat does when it is due. Its next time stays."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("periodic_task", metavar="NAME", help="the name or the id")
        add_reason(parser)

    def answer(self, *, periodic_task: str, **options: Any) -> Answer:
        task = operations.run(operations.find(periodic_task).pk)
        return Answer({"id": task.pk, "name": task.name, "task": task.task}, [f"{task.name} runs now: {task.task}."])
