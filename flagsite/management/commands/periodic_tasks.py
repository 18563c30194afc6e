"""List the periodic tasks."""

from __future__ import annotations

from typing import Any

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.periodic_tasks import operations
from flagsite.periodic_tasks.console import document_of, schedule_of


class Command(OperatorCommand):
    help = "List the tasks that beat sends, with their intervals or crontabs and their last runs."

    def answer(self, **options: Any) -> Answer:
        tasks = list(operations.all_tasks())
        table = terminal.table("Id", "Name", "Task", "When", "State", "Last run (UTC)")
        for task in tasks:
            state, last = "enabled" if task.enabled else "disabled", terminal.format_time(task.last_run_at) or "never"
            table.add_row(*terminal.cells(str(task.pk), task.name, task.task, schedule_of(task), state, last))
        return Answer({"results": [document_of(task) for task in tasks]}, [table] if tasks else ["There are none."])
