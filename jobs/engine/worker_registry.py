"""The worker registry: every worker writes its beat here every few seconds. People read it; nothing relies on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs.engine.models import Job, Worker
from jobs.engine.states import Status

ALIVE_SECONDS = 20
"""A worker without a beat for so long is taken for dead."""
REMEMBERED = timedelta(days=1)
"""A worker without a beat for so long is deleted from the registry."""
_SEEN_LATELY = Q(seen_at__gte=Now() - timedelta(seconds=ALIVE_SECONDS))

TOKEN = uuid4().hex[:8]
"""This worker's name in the registry, the same in its child processes. A pid alone is used again after a while."""


@dataclass(frozen=True, slots=True)
class WorkerNow:
    """A worker, whether it is alive, and the jobs that its processes hold."""

    worker: Worker
    is_alive: bool
    jobs: list[Job] = field(default_factory=list)

    @property
    def busy(self) -> int:
        """How many of its `concurrency` slots are at work."""
        return len(self.jobs)


def process_name() -> str:
    """Return the name that this process writes on the jobs that it holds; it is never used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{TOKEN}"


def beat(*, queues: Sequence[str], concurrency: int, pid: int, is_stopping: bool = False) -> None:
    """Write that this worker is alive. Its first beat adds it to the registry, and deletes workers that are long gone.

    `concurrency` is the number of its processes, `pid` its main process.
    """
    seen = {"seen_at": Now(), "is_stopping": is_stopping, "queues": list(queues), "concurrency": concurrency}
    if not Worker.objects.filter(token=TOKEN).update(**seen):
        host = socket.gethostname()
        Worker.objects.create(token=TOKEN, host=host, pid=pid, queues=list(queues), concurrency=concurrency)
        Worker.objects.filter(seen_at__lt=Now() - REMEMBERED).delete()


def leave() -> None:
    """Delete this worker, which ends in good order."""
    Worker.objects.filter(token=TOKEN).delete()


def alive(queue: str | None = None) -> QuerySet[Worker]:
    """Return the workers that are alive and are not being stopped, of one queue or of any."""
    living = Worker.objects.filter(_SEEN_LATELY, is_stopping=False)
    return living if queue is None else living.filter(queues__contains=[queue])


def all_workers() -> list[WorkerNow]:
    """Return every worker of the last day with the jobs that it holds, the living ones first."""
    living = set(Worker.objects.filter(_SEEN_LATELY).values_list("token", flat=True))
    held: dict[str, list[Job]] = {}
    for job in Job.objects.filter(status=Status.IN_PROGRESS).select_related("organization").order_by("id")[:1000]:
        held.setdefault(job.worker.rpartition(":")[2], []).append(job)
    workers = [WorkerNow(one, one.token in living, held.get(one.token, [])) for one in Worker.objects.order_by("host")]
    return sorted(workers, key=lambda one: (not one.is_alive, one.worker.host, one.worker.pid))
