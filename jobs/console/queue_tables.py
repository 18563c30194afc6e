"""Queues in the output of commands: a table for people, and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from jobs.engine.models import Queue
from jobs.operations.queue_operations import QueueStatus


def queue_state(queue: Queue) -> str:
    """The state of the queue: "open", or "paused" with the time, the actor and the reason of the pause."""
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
        "backoffType": queue.backoff_type,
        "backoffBase": queue.backoff_base,
        "backoffDelay": queue.backoff_delay,
        "backoffJitter": queue.backoff_jitter,
        "rateAllowed": queue.rate_allowed,
        "rateSeconds": queue.rate_seconds,
        "fair": queue.is_fair,
    }


def queue_status_document(status: QueueStatus) -> dict[str, Any]:
    """A queue as JSON, with the counts of its jobs and the number of its workers."""
    counts = {"due": status.due, "later": status.later, "running": status.running, "workers": status.workers}
    return queue_document(status.queue) | counts | {"oldestDueAt": terminal.iso(status.oldest_due_at)}


def queue_status_table(statuses: Sequence[QueueStatus]) -> Table:
    """A table with one row for each queue."""
    table = terminal.table(
        Column("Queue", no_wrap=True), Column("Due", justify="right"), Column("Later", justify="right"),
        Column("Running", justify="right"), Column("Oldest waits", no_wrap=True), Column("Workers", justify="right"),
        Column("Attempts"), Column("State", overflow="fold"),
    )  # fmt: skip
    for status in statuses:
        queue, due = status.queue, status.due
        running = f"{status.running:,}" + (f" of {queue.concurrency:,}" if queue.concurrency is not None else "")
        oldest = terminal.format_duration(timezone.now() - status.oldest_due_at) if status.oldest_due_at else ""
        table.add_row(
            *terminal.cells(
                queue.name, due, status.later, running, oldest, status.workers, queue.max_retries + 1,
                _state_cell(status),
            )
        )  # fmt: skip
    return table


def _state_cell(status: QueueStatus) -> Text:
    """The state of the queue in its colour, with a note if due jobs wait and no worker serves the queue."""
    state = Text(terminal.plain(queue_state(status.queue)), style="yellow" if status.queue.paused_at else "green")
    return state.append(", no worker serves it", style="red") if status.is_unserved else state
