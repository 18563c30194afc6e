"""Operations on queues: create, delete, pause, resume, change settings. The audit log records each operation.

`queue_statuses` counts the jobs of each queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from flagsite.core.words import counted
from jobs.engine import claiming, transitions, wakeup, worker_registry
from jobs.engine.kinds import kind_named, kinds_of, known_kinds
from jobs.engine.models import Job, Queue
from jobs.engine.states import OPEN
from jobs.errors import InvalidQueueSettings, QueueExists, QueueInUse
from jobs.notifications.events import QUEUE_PAUSED, notify
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
    workers: int
    """The workers that serve the queue: alive, and not stopping."""

    @property
    def is_unserved(self) -> bool:
        """Whether due jobs wait and no worker will start them."""
        return self.due > 0 and self.workers == 0 and not settings.JOBS_INLINE

    @property
    def wanted(self) -> int:
        """How many jobs want a place in a worker now: those that are due and those that run."""
        return self.due + self.running


def create(name: str, *, by: str, reason: str = "", **values: float | str | None) -> Queue:
    """Create a queue with some of SETTINGS; the others get their defaults.

    No job waits in it until a request names it, and a worker has to serve it. Raises QueueExists,
    InvalidQueueSettings.
    """
    queue = Queue(name=name, **values)
    with transaction.atomic():
        if Queue.objects.filter(name=name).exists():
            raise QueueExists(f"There is a queue {name!r} already.")
        _check(queue)
        try:
            with transaction.atomic():
                queue.save(force_insert=True)
        except IntegrityError as error:
            raise QueueExists(f"There is a queue {name!r} already.") from error
        after = {field: getattr(queue, field) for field in SETTINGS}
        audit_log.record("queue.create", f"queue:{name}", by=by, reason=reason, after=after)
        transitions.log_on_commit(log.info, "queue_created", queue=name, by=by, reason=reason)
    return queue


def delete(name: str, *, by: str, reason: str = "") -> None:
    """Delete a queue in which no job waits or runs. Jobs that have ended keep its name.

    Raises UnknownQueue, or QueueInUse if the queue has open jobs or is the queue of a kind.
    """
    with transaction.atomic():
        queue = _locked(name)
        kinds = ", ".join(sorted(kind.name for kind in kinds_of(name)))
        if kinds:
            raise QueueInUse(f"The jobs of these kinds wait in the queue {name}, so it has to stay: {kinds}.")
        open_jobs = Job.objects.filter(queue=name, status__in=OPEN).count()
        if open_jobs:
            raise QueueInUse(
                f"The queue {name} has {counted(open_jobs, 'open job')}. Wait until they have ended, or cancel them."
            )
        before = {field: getattr(queue, field) for field in SETTINGS}
        queue.delete()
        audit_log.record("queue.delete", f"queue:{name}", by=by, reason=reason, before=before)
        transitions.log_on_commit(log.info, "queue_deleted", queue=name, by=by, reason=reason)


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
            because = f": {reason}" if reason else "."
            notify(
                QUEUE_PAUSED, f"{by} has paused the queue {name}{because}", subject=f"queue:{name}",
                page=("admin:jobs_queue_change", name), queue=name, by=by, reason=reason,
            )  # fmt: skip
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


def change(name: str, *, by: str, reason: str = "", **values: float | str | None) -> Queue:
    """Change some of SETTINGS; None means no limit.

    A new concurrency and a new rate count from the next claim on, the other settings from the next failure on, also
    for jobs that exist already. Raises UnknownQueue, or InvalidQueueSettings with the errors of the values.
    """
    with transaction.atomic():
        queue = _locked(name)
        before = {field: getattr(queue, field) for field in SETTINGS}
        for field, value in values.items():
            setattr(queue, field, value)
        _check(queue)
        queue.save(update_fields=list(values))
        claiming.adapt_arrivals(name)
        after = {field: getattr(queue, field) for field in SETTINGS}
        if after != before:
            audit_log.record("queue.change", f"queue:{name}", by=by, reason=reason, before=before, after=after)
            wakeup.wake(name)
    return queue


def _check(queue: Queue) -> None:
    try:
        queue.full_clean(validate_unique=False)
    except ValidationError as error:
        raise InvalidQueueSettings(" ".join(_said(*problem) for problem in error.message_dict.items())) from error


def _said(field: str, messages: list[str]) -> str:
    return " ".join([*([] if field == NON_FIELD_ERRORS else [f"{field}:"]), *messages])


QUEUE_STATUSES = """
SELECT queue.name, COALESCE(waiting.due, 0), COALESCE(waiting.later, 0), COALESCE(running.count, 0), waiting.oldest,
       COALESCE(serving.count, 0)
  FROM jobs_queue queue  -- indexes job_due, job_running, without the rows: open jobs only, however many have ended
  LEFT JOIN (SELECT queue, count(*) FILTER (WHERE run_at <= statement_timestamp()) AS due,
                    count(*) FILTER (WHERE run_at > statement_timestamp()) AS later,
                    min(run_at) FILTER (WHERE run_at <= statement_timestamp()) AS oldest
               FROM jobs_job WHERE status = 'PENDING' GROUP BY queue) waiting ON waiting.queue = queue.name
  LEFT JOIN (SELECT queue, count(*) FROM jobs_job WHERE status = 'IN_PROGRESS' GROUP BY queue) running
         ON running.queue = queue.name
  LEFT JOIN (SELECT served.name, count(DISTINCT token)
               FROM jobs_worker, jsonb_array_elements_text(queues) AS served (name)
              WHERE NOT is_stopping AND seen_at >= statement_timestamp() - %s * interval '1 second'
              GROUP BY served.name) serving ON serving.name = queue.name
"""


def queue_statuses() -> list[QueueStatus]:
    """All queues in the order of their names, each with the counts of its jobs and of its workers."""
    queues = {queue.name: queue for queue in Queue.objects.order_by("name")}
    with connection.cursor() as cursor:
        cursor.execute(QUEUE_STATUSES, [worker_registry.ALIVE_SECONDS])
        counts = {row[0]: row[1:] for row in cursor.fetchall()}
    return [QueueStatus(queue, *counts.get(name, (0, 0, 0, None, 0))) for name, queue in queues.items()]


def queues_of_kinds() -> set[str]:
    """Return the names of the queues that cannot be deleted, because the jobs of a kind wait in them."""
    return {kind_named(kind).queue for kind in known_kinds()}


def queue_status(name: str) -> QueueStatus:
    """Return the queue with the counts of its jobs and of its workers. Raises UnknownQueue."""
    found = next((status for status in queue_statuses() if status.queue.name == name), None)
    if found is None:
        raise transitions.unknown_queue(name)
    return found


def _locked(name: str) -> Queue:
    queue = Queue.objects.select_for_update().filter(name=name).first()
    if queue is None:
        raise transitions.unknown_queue(name)
    return queue
