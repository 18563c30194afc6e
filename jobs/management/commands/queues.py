"""Show the queues."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.queue_tables import queue_status_document, queue_status_table
from jobs.engine import worker_registry
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Show the queues: the numbers of due, later and running jobs, the number of workers, and the pauses."

    def answer(self, **options: Any) -> Answer:
        statuses = queue_operations.queue_statuses()
        workers = Counter(
            name for names in worker_registry.alive().values_list("queues", flat=True) for name in set(names)
        )
        documents = [queue_status_document(status, workers[status.queue.name]) for status in statuses]
        return Answer({"results": documents}, [queue_status_table(statuses, workers)])
