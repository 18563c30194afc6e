"""Compute the figures of each queue that programs read, such as an autoscaler."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone

from jobs.counting.hourly_metrics import HOURS_KEPT
from jobs.operations import queue_operations
from jobs.operations.queue_operations import QueueStatus

MAX_HOURS = HOURS_KEPT
"""The longest window: older hours are merged into days."""
ENDED_CHAINS = """
SELECT queue, outcome, (sum(chains) - sum(reopened))::bigint  -- index one_tally_each_hour
  FROM jobs_jobtally WHERE hour >= %(since)s AND outcome IN ('completed', 'failed') GROUP BY queue, outcome
"""


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A queue with its open jobs, and the jobs of the window that ended: a job and its retries count once."""

    status: QueueStatus
    completed: int
    failed: int
    oldest_wait_seconds: float | None
    """How long the oldest due job has waited."""


def queue_statistics(hours: int) -> tuple[datetime, list[QueueStatistics]]:
    """Return the start of the window of so many clock hours, and the figures of all queues. Call it in a snapshot."""
    now = timezone.now()
    since = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    with connection.cursor() as cursor:
        cursor.execute(ENDED_CHAINS, {"since": since})
        ended = {(queue, outcome): int(count) for queue, outcome, count in cursor.fetchall()}
    figures = [
        QueueStatistics(
            status,
            completed=ended.get((status.queue.name, "completed"), 0),
            failed=ended.get((status.queue.name, "failed"), 0),
            oldest_wait_seconds=_seconds(now - status.oldest_due_at) if status.oldest_due_at else None,
        )
        for status in queue_operations.queue_statuses()
    ]
    return since, figures


def _seconds(wait: timedelta) -> float:
    return round(max(0.0, wait.total_seconds()), 3)
