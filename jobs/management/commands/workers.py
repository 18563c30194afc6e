"""Show the workers."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.job_tables import done_word, work_word
from jobs.engine import worker_registry
from jobs.engine.worker_registry import WorkerNow


class Command(OperatorCommand):
    help = "Show the workers of the last day: which are alive, what they do. Exit status 1 when none is alive."

    def answer(self, **options: Any) -> Answer:
        found = worker_registry.all_workers()
        anyone = any(one.is_alive for one in found)
        shown: list[Any] = [_table(found)] if found else []
        if not anyone:
            shown.append("No worker is alive; jobs wait until one is.")
        return Answer({"results": [_document(one) for one in found]}, shown, failed=not anyone)


def _state(one: WorkerNow) -> Text:
    if not one.is_alive:
        return Text("gone", style="red")
    return Text("stopping", style="yellow") if one.worker.is_stopping else Text("alive", style="green")


def _document(one: WorkerNow) -> dict[str, Any]:
    return {
        "host": one.worker.host,
        "pid": one.worker.pid,
        "token": one.worker.token,
        "state": _state(one).plain,
        "queues": one.worker.queues,
        "concurrency": one.worker.concurrency,
        "busy": one.busy,
        "jobIds": [job.pk for job in one.jobs],
        "startedAt": terminal.iso(one.worker.started_at),
        "seenAt": terminal.iso(one.worker.seen_at),
    }


def _table(found: list[WorkerNow]) -> Table:
    table = terminal.table(
        Column("Worker", no_wrap=True), Column("State", no_wrap=True), Column("Queues"), Column("Busy", no_wrap=True),
        Column("Seen", no_wrap=True), Column("Does", overflow="fold"),
    )  # fmt: skip
    for one in found:
        does = "; ".join(f"{job.pk} {work_word(job)}, {done_word(job)}" for job in one.jobs)
        table.add_row(
            *terminal.cells(
                str(one.worker), _state(one), ", ".join(one.worker.queues), f"{one.busy} of {one.worker.concurrency}",
                f"{terminal.format_duration(timezone.now() - one.worker.seen_at)} ago", does,
            )
        )  # fmt: skip
    return table
