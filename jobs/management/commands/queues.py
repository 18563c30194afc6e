"""Show the queues."""

from __future__ import annotations

from typing import Any

from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.queue_tables import queue_status_document, queue_status_table
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Show the queues: the numbers of due, later and running jobs, the number of workers, and the pauses."

    def answer(self, **options: Any) -> Answer:
        statuses = queue_operations.queue_statuses()
        documents = [queue_status_document(status) for status in statuses]
        return Answer({"results": documents}, [queue_status_table(statuses)])
