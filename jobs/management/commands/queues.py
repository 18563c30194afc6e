"""Show the queues."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobs import queues, workers
from jobs.queues_shown import line_document, lines_table
from orgs.operator_command import Answer, OperatorCommand


class Command(OperatorCommand):
    help = "Show every queue: what is due, what comes later, what runs, who serves it, whether it is paused."

    def answer(self, **options: Any) -> Answer:
        lines = queues.lines()
        serving = Counter(name for names in workers.alive().values_list("queues", flat=True) for name in set(names))
        documents = [line_document(line, serving[line.queue.name]) for line in lines]
        return Answer({"results": documents}, [lines_table(lines, serving)])
