"""The worker registry: every worker writes its beat here every few seconds. It is for people; no code relies on it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs.engine.kinds import known_kinds
from jobs.engine.maintenance import maintenance_task
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.engine.worker_model import Worker
from jobs.notifications.events import WORKER_GONE, notify

log = structlog.get_logger(__name__)

ALIVE_SECONDS = 20
"""A worker without a beat for longer than this counts as dead."""
RETENTION = timedelta(days=1)
"""A worker without a beat for longer than this is deleted from the registry."""
UNKNOWN_SECONDS = 60
"""If a job of a kind that no worker knows has been due for longer than this, people should know."""
WINDOW = 1_000
"""In each queue, so many due jobs come into question for `kinds_nobody_knows`: those that claims look at first."""
STATES = ("alive", "stopping", "gone")
_IS_ALIVE = Q(seen_at__gte=Now() - timedelta(seconds=ALIVE_SECONDS))

TOKEN = uuid4().hex[:8]
"""The name of this worker and its child processes in the registry. A pid is not enough: systems use pids again."""


@dataclass(frozen=True, slots=True)
class WorkerNow:
    """A worker, whether it is alive, and the jobs that its processes run."""

    worker: Worker
    is_alive: bool
    jobs: list[Job] = field(default_factory=list)

    @property
    def busy(self) -> int:
        """The number of processes that run a job, out of `concurrency`."""
        return len(self.jobs)

    @property
    def state(self) -> str:
        """One of STATES: whether the worker is alive, stops after its jobs, or has not reported for a while."""
        if not self.is_alive:
            return "gone"
        return "stopping" if self.worker.is_stopping else "alive"


@dataclass(frozen=True, slots=True)
class WaitingKind:
    """A kind whose due jobs wait in a queue, although a worker serves it: no worker of the queue knows the kind."""

    queue: str
    kind: str
    count: int
    oldest_due_at: datetime


def process_name(pid: int | None = None) -> str:
    """Return the name that a process of this worker writes on the jobs that it runs; without `pid`, this process.

    No later process gets the same name.
    """
    return f"{socket.gethostname()}:{pid or os.getpid()}:{TOKEN}"


def beat(*, queues: Sequence[str], concurrency: int, pid: int, name: str = "", is_stopping: bool = False) -> None:
    """Write that this worker is alive.

    The first beat adds the worker to the registry, and deletes workers without a beat for longer than RETENTION.
    `concurrency` is the number of the worker's processes, `pid` is the id of its main process, and `name` its name.
    """
    columns = {"seen_at": Now(), "is_stopping": is_stopping, "queues": list(queues), "concurrency": concurrency,
               "gone_at": None}  # fmt: skip
    if not Worker.objects.filter(token=TOKEN).update(**columns):
        host = socket.gethostname()
        Worker.objects.create(
            token=TOKEN, name=name, host=host, pid=pid, queues=list(queues), concurrency=concurrency,
            kinds=known_kinds(),
        )  # fmt: skip
        Worker.objects.filter(seen_at__lt=Now() - RETENTION).delete()


def leave() -> None:
    """Delete this worker from the registry when it ends normally."""
    Worker.objects.filter(token=TOKEN).delete()


NOTICE_GONE = """
UPDATE jobs_worker SET gone_at = statement_timestamp()
 WHERE gone_at IS NULL AND seen_at < statement_timestamp() - %s * interval '1 second'
RETURNING host, pid, queues, seen_at
"""


@maintenance_task
def notice_gone() -> int:
    """Notice the workers that do not report any more, each once, and tell the event. Returns their number."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(NOTICE_GONE, [ALIVE_SECONDS])
            gone = cursor.fetchall()
        for host, pid, queues, seen_at in gone:
            transaction.on_commit(partial(log.warning, "worker_gone", host=host, pid=pid))
            notify(
                WORKER_GONE, f"The worker {host}:{pid} has not reported since {seen_at:%Y-%m-%d %H:%M:%S} UTC.",
                subject=f"worker:{host}:{pid}", page=("admin:jobs_worker_changelist",),
                host=host, pid=pid, queues=json.loads(queues),
            )  # fmt: skip
    return len(gone)


WAITING_KINDS = """
SELECT queue.name, due.kind, count(*), min(due.run_at)
  FROM jobs_queue queue
 CROSS JOIN LATERAL (SELECT kind, run_at FROM jobs_job  -- index job_due
                      WHERE queue = queue.name AND status = 'PENDING' AND run_at <= statement_timestamp()
                      ORDER BY priority DESC, run_at, id LIMIT %(window)s) due
 WHERE queue.paused_at IS NULL AND due.run_at < statement_timestamp() - %(seconds)s * interval '1 second'
   AND {nobody_knows}
 GROUP BY queue.name, due.kind ORDER BY queue.name, due.kind
"""
STILL_ALIVE = "NOT is_stopping AND seen_at >= statement_timestamp() - %(alive)s * interval '1 second'"
NO_WORKER_KNOWS = f"""
       queue.name IN (SELECT jsonb_array_elements_text(queues) FROM jobs_worker WHERE {STILL_ALIVE})
   AND NOT EXISTS (SELECT FROM jobs_worker
                    WHERE {STILL_ALIVE} AND queues @> to_jsonb(queue.name)
                      AND (kinds IS NULL OR kinds @> to_jsonb(due.kind)))
"""  # noqa: S608 - no input in it
THIS_PROCESS_DOES_NOT_KNOW = "due.kind <> ALL(%(kinds)s)"


def kinds_nobody_knows() -> list[WaitingKind]:
    """Return the kinds of jobs that have been due for UNKNOWN_SECONDS and that no worker of their queue knows.

    This happens during a rolling deploy, and for good if the code of a kind was removed. Queues without any worker are
    a finding of their own. Only the first WINDOW due jobs of each queue come into question.
    """
    nobody_knows = THIS_PROCESS_DOES_NOT_KNOW if settings.JOBS_INLINE else NO_WORKER_KNOWS
    values: dict[str, Any] = {
        "window": WINDOW, "seconds": UNKNOWN_SECONDS, "alive": ALIVE_SECONDS, "kinds": known_kinds(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(WAITING_KINDS.format(nobody_knows=nobody_knows), values)
        return [WaitingKind(*row) for row in cursor.fetchall()]


def knows(queue: str, kind: str) -> bool:
    """Return whether a worker that is alive serves the queue and knows the kind."""
    return alive(queue).filter(Q(kinds=None) | Q(kinds__contains=[kind])).exists()


def alive(queue: str | None = None) -> QuerySet[Worker]:
    """Return the workers that are alive and not stopping: those of one queue, or all if `queue` is None."""
    workers = Worker.objects.filter(_IS_ALIVE, is_stopping=False)
    return workers if queue is None else workers.filter(queues__contains=[queue])


def all_workers() -> list[WorkerNow]:
    """Return every worker of the last day with the jobs that it runs, the workers that are alive first."""
    alive_tokens = set(Worker.objects.filter(_IS_ALIVE).values_list("token", flat=True))
    jobs_by_token: dict[str, list[Job]] = {}
    for job in Job.objects.filter(status=Status.IN_PROGRESS).select_related("organization").order_by("id")[:1000]:
        jobs_by_token.setdefault(job.worker.rpartition(":")[2], []).append(job)
    workers = [
        WorkerNow(worker, worker.token in alive_tokens, jobs_by_token.get(worker.token, []))
        for worker in Worker.objects.order_by("host")
    ]
    return sorted(workers, key=lambda now: (not now.is_alive, now.worker.host, now.worker.pid))
