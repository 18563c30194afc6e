"""Which workers there are: each says so every few seconds; people read it, nothing relies on it."""

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
"""Who has not been seen for so long is taken for dead."""
REMEMBERED = timedelta(days=1)
_SEEN_LATELY = Q(seen_at__gte=Now() - timedelta(seconds=ALIVE_SECONDS))

TOKEN = uuid4().hex[:8]
"""This worker's, the same in its child processes: pids come again, and a worker's name must not."""


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
    """What this process calls itself on the jobs that it holds; unique for its start."""
    return f"{socket.gethostname()}:{os.getpid()}:{TOKEN}"


def beat(*, queues: Sequence[str], concurrency: int, pid: int, is_stopping: bool = False) -> None:
    """Say that this worker is there; the first time with how it was started. Forgets those that are long gone."""
    seen = {"seen_at": Now(), "is_stopping": is_stopping, "queues": list(queues), "concurrency": concurrency}
    if not Worker.objects.filter(token=TOKEN).update(**seen):
        host = socket.gethostname()
        Worker.objects.create(token=TOKEN, host=host, pid=pid, queues=list(queues), concurrency=concurrency)
        Worker.objects.filter(seen_at__lt=Now() - REMEMBERED).delete()


def leave() -> None:
    """This worker ends in good order."""
    Worker.objects.filter(token=TOKEN).delete()


def alive(queue: str | None = None) -> QuerySet[Worker]:
    """The workers that are there and stay, of one queue or of any."""
    living = Worker.objects.filter(_SEEN_LATELY, is_stopping=False)
    return living if queue is None else living.filter(queues__contains=[queue])


def all_workers() -> list[WorkerNow]:
    """Every worker of the last day, those alive first, with what each does."""
    living = set(Worker.objects.filter(_SEEN_LATELY).values_list("token", flat=True))
    held: dict[str, list[Job]] = {}
    for job in Job.objects.filter(status=Status.IN_PROGRESS).select_related("organization").order_by("id")[:1000]:
        held.setdefault(job.worker.rpartition(":")[2], []).append(job)
    workers = [WorkerNow(one, one.token in living, held.get(one.token, [])) for one in Worker.objects.order_by("host")]
    return sorted(workers, key=lambda one: (not one.is_alive, one.worker.host, one.worker.pid))
