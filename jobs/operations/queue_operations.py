"""Operations on queues: pause, resume and change the settings. The audit log records each operation.

`queue_statuses` counts the jobs of each queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.engine import transitions, wakeup
from jobs.engine.models import Queue
from jobs.errors import InvalidQueueSettings
from orgs.audit import audit_log

log = structlog.get_logger(__name__)
SETTINGS = (
    "concurrency", "max_retries", "backoff_type", "backoff_base", "backoff_delay", "backoff_jitter", "rate_allowed",
    "rate_seconds", "is_fair",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue and the counts of its open jobs.

    `due` jobs wait and may start now. `later` jobs wait for a later time. `oldest_due_at` is the time from which the
    oldest due job waits.
    """

    queue: Queue
    due: int
    later: int
    running: int
    oldest_due_at: datetime | None


def pause(name: str, *, by: str, reason: str = "") -> Queue:
    """Pause the queue: no job of it starts until the queue is resumed, and running jobs go on.

    If the queue is paused already, the earlier pause and its reason stay. Raises UnknownQueue.
    """
    with transaction.atomic():
        queue = _locked(name)
        if queue.paused_at is None:
            Queue.objects.filter(pk=name).update(paused_at=Now(), paused_by=by, pause_reason=reason)
            audit_log.record("queue.pause", f"queue:{name}", by=by, reason=reason)
            transitions.log_on_commit(log.warning, "queue_paused", queue=name, by=by, reason=reason)
        queue.refresh_from_db()
    return queue


def resume(name: str, *, by: str, reason: str = "") -> Queue:
    """End the queue's pause, and wake a worker for its waiting jobs. Raises UnknownQueue."""
    with transaction.atomic():
        queue = _locked(name)
        if queue.paused_at is not None:
            Queue.objects.filter(pk=name).update(paused_at=None, paused_by="", pause_reason="")
            audit_log.record("queue.resume", f"queue:{name}", by=by, reason=reason)
            transitions.log_on_commit(log.warning, "queue_resumed", queue=name, by=by, reason=reason)
            wakeup.wake(name)
        queue.refresh_from_db()
    return queue


def change(name: str, *, by: str, reason: str = "", **settings: float | str | None) -> Queue:
    """Change some of SETTINGS; None means no limit.

    A new concurrency counts from the next claim on, the other settings from the next failure on, also for jobs that
    exist already. Raises UnknownQueue, or InvalidQueueSettings with the errors of the values.
    """
    with transaction.atomic():
        queue = _locked(name)
        before = {field: getattr(queue, field) for field in SETTINGS}
        for field, value in settings.items():
            setattr(queue, field, value)
        try:
            queue.full_clean()
        except ValidationError as error:
            raise InvalidQueueSettings(" ".join(_said(*problem) for problem in error.message_dict.items())) from error
        queue.save(update_fields=list(settings))
        after = {field: getattr(queue, field) for field in SETTINGS}
        if after != before:
            audit_log.record("queue.change", f"queue:{name}", by=by, reason=reason, before=before, after=after)
            wakeup.wake(name)
    return queue


def _said(field: str, messages: list[str]) -> str:
    return " ".join([*([] if field == NON_FIELD_ERRORS else [f"{field}:"]), *messages])


QUEUE_STATUSES = """
SELECT queue.name, COALESCE(waiting.due, 0), COALESCE(waiting.later, 0), COALESCE(running.count, 0), waiting.oldest
  FROM jobs_queue queue  -- indexes job_due, job_running, without the rows: open jobs only, however many have ended
  LEFT JOIN (SELECT queue, count(*) FILTER (WHERE run_at <= statement_timestamp()) AS due,
                    count(*) FILTER (WHERE run_at > statement_timestamp()) AS later,
                    min(run_at) FILTER (WHERE run_at <= statement_timestamp()) AS oldest
               FROM jobs_job WHERE status = 'PENDING' GROUP BY queue) waiting ON waiting.queue = queue.name
  LEFT JOIN (SELECT queue, count(*) FROM jobs_job WHERE status = 'IN_PROGRESS' GROUP BY queue) running
         ON running.queue = queue.name
"""


def queue_statuses() -> list[QueueStatus]:
    """All queues in the order of their names, each with the counts of its waiting and running jobs."""
    queues = {queue.name: queue for queue in Queue.objects.order_by("name")}
    with connection.cursor() as cursor:
        cursor.execute(QUEUE_STATUSES)
        counts = {row[0]: row[1:] for row in cursor.fetchall()}
    return [QueueStatus(queue, *counts.get(name, (0, 0, 0, None))) for name, queue in queues.items()]


def _locked(name: str) -> Queue:
    queue = Queue.objects.select_for_update().filter(name=name).first()
    if queue is None:
        raise transitions.unknown_queue(name)
    return queue
