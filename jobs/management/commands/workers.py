"""Show the workers."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.api.worker_serializers import WorkerSerializer
from jobs.console.job_tables import done_word, work_word
from jobs.engine import worker_registry
from jobs.engine.worker_registry import WorkerNow


class Command(OperatorCommand):
    help = "Show the workers of the last day, their states and their jobs. The exit status is 1 if no worker is alive."

    def answer(self, **options: Any) -> Answer:
        workers = worker_registry.all_workers()
        is_any_alive = any(worker_now.is_alive for worker_now in workers)
        output: list[Any] = [_table(workers)] if workers else []
        if not is_any_alive:
            output.append("No worker is alive; jobs wait until one starts.")
        return Answer({"results": WorkerSerializer(workers, many=True).data}, output, failed=not is_any_alive)


STYLES = {"alive": "green", "stopping": "yellow", "gone": "red"}


def _table(workers: list[WorkerNow]) -> Table:
    table = terminal.table(
        Column("Worker", no_wrap=True), Column("Name", overflow="fold"), Column("State", no_wrap=True),
        Column("Queues"), Column("Busy", no_wrap=True), Column("Seen", no_wrap=True), Column("Jobs", overflow="fold"),
    )  # fmt: skip
    for worker_now in workers:
        worker = worker_now.worker
        state = Text(worker_now.state, style=STYLES[worker_now.state])
        jobs = "; ".join(f"{job.pk} {work_word(job)}, {done_word(job)}" for job in worker_now.jobs)
        table.add_row(
            *terminal.cells(
                str(worker), worker.name, state, ", ".join(worker.queues), f"{worker_now.busy} of {worker.concurrency}",
                f"{terminal.format_duration(timezone.now() - worker.seen_at)} ago", jobs,
            )
        )  # fmt: skip
    return table
