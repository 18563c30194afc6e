"""How commands show queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from jobs.engine.models import Queue
from jobs.operations.queue_operations import QueueStatus


def state_words(queue: Queue) -> str:
    """Open, or paused since when, by whom and why."""
    if queue.paused_at is None:
        return "open"
    why = f": {queue.pause_reason}" if queue.pause_reason else ""
    return f"paused since {terminal.format_time(queue.paused_at)} by {queue.paused_by}{why}"


def queue_document(queue: Queue) -> dict[str, Any]:
    """A queue as JSON."""
    return {
        "name": queue.name,
        "paused": queue.paused_at is not None,
        "pausedAt": terminal.iso(queue.paused_at),
        "pausedBy": queue.paused_by,
        "pauseReason": queue.pause_reason,
        "concurrency": queue.concurrency,
        "maxRetries": queue.max_retries,
        "backoffBase": queue.backoff_base,
        "backoffJitter": queue.backoff_jitter,
    }


def line_document(line: QueueStatus, workers: int) -> dict[str, Any]:
    """A queue with what stands in it, and how many workers serve it."""
    counts = {"due": line.due, "later": line.later, "running": line.running, "workers": workers}
    return queue_document(line.queue) | counts | {"oldestDueAt": terminal.iso(line.oldest_due_at)}


def lines_table(lines: Sequence[QueueStatus], workers: dict[str, int]) -> Table:
    """A queue a row."""
    table = terminal.table(
        Column("Queue", no_wrap=True), Column("Due", justify="right"), Column("Later", justify="right"),
        Column("Running", justify="right"), Column("Oldest waits", no_wrap=True), Column("Workers", justify="right"),
        Column("Tries"), Column("State", overflow="fold"),
    )  # fmt: skip
    for line in lines:
        queue = line.queue
        running = f"{line.running:,}" + (f" of {queue.concurrency:,}" if queue.concurrency is not None else "")
        oldest = terminal.format_duration(timezone.now() - line.oldest_due_at) if line.oldest_due_at else ""
        table.add_row(
            *terminal.cells(
                queue.name, line.due, line.later, running, oldest, workers.get(queue.name, 0), queue.max_retries + 1,
                Text(terminal.plain(state_words(queue)), style="yellow" if queue.paused_at else "green"),
            )
        )  # fmt: skip
    return table
