"""Show the queues."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.queue_tables import line_document, lines_table
from jobs.engine import worker_registry
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Show every queue: what is due, what comes later, what runs, who serves it, whether it is paused."

    def answer(self, **options: Any) -> Answer:
        lines = queue_operations.queue_statuses()
        serving = Counter(
            name for names in worker_registry.alive().values_list("queues", flat=True) for name in set(names)
        )
        documents = [line_document(line, serving[line.queue.name]) for line in lines]
        return Answer({"results": documents}, [lines_table(lines, serving)])
