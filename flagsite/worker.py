"""The Celery worker as `run_worker` starts it: which queues it serves, and the beat that it can bring along."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import structlog
from celery.signals import worker_init, worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError

from flagsite.beat import PARENT_VARIABLE
from flagsite.celery import app
from jobs.engine.models import Queue
from jobs.engine.worker_service import WorkerService

log = structlog.get_logger(__name__)
FOLLOW_SECONDS = 2.0
"""How often a worker looks for queues that were created or deleted."""
BEAT_LOOK_SECONDS = 1.0
BEAT_STOP_SECONDS = 10.0
WITHOUT = ("--without-mingle", "--without-gossip")
"""What a worker of Flagsite does not need to know of other workers; mingling would delay its start by a second."""


def run(*, queues: Sequence[str], name: str, concurrency: int | None, with_scheduler: bool) -> int:
    """Run a Celery worker in this process until it is stopped. Returns the exit status.

    Args:
        queues: the names of the queues that the worker serves; none means all queues, also those created later.
        name: the worker's name in Celery; empty means `celery`. Celery adds the host.
        concurrency: the number of child processes; None means one for each processor.
        with_scheduler: whether to run beat in a further process, which ends with the worker.
    """
    controllers: list[Any] = []
    services: list[WorkerService] = []

    def remember(sender: Any, **_: Any) -> None:
        controllers.append(sender)

    def start_services(sender: Any, **_: Any) -> None:
        if not queues:
            services.append(QueueFollower(sender))
        if with_scheduler:
            services.append(BeatProcess())
        for service in services:
            service.start()

    def stop_services(**_: Any) -> None:
        for service in services:
            service.stop(within=BEAT_STOP_SECONDS)

    worker_init.connect(remember, weak=False)
    worker_ready.connect(start_services, weak=False)
    worker_shutdown.connect(stop_services, weak=False)
    arguments = ["--quiet", "worker", *WITHOUT, "--queues", ",".join(queues or _queues_at_start())]
    if name:
        arguments += ["--hostname", name if "@" in name else f"{name}@%h"]
    if concurrency is not None:
        arguments += ["--concurrency", str(concurrency)]
    start: Callable[[list[str]], object] = app.start  # it returns, although its type says that it never does
    start(arguments)
    return int(controllers[0].exitcode or 0) if controllers else 1


def _queues_at_start() -> list[str]:
    """Return the names of all queues. If the database is away, the worker gets to know them later."""
    names: list[str] = []
    with suppress(DatabaseError):
        names = list(Queue.objects.order_by("name").values_list("name", flat=True))
    return names or [settings.CELERY_TASK_DEFAULT_QUEUE]


class QueueFollower(WorkerService):
    """Lets the worker serve every queue: those created later too, and those deleted no longer."""

    def __init__(self, consumer: Any) -> None:
        super().__init__("queues")
        self._consumer = consumer
        self.wake()

    def steps(self) -> Iterator[Callable[[], object]]:
        """Return the one step of each turn."""
        yield self._follow

    def pause(self) -> float:
        """Return FOLLOW_SECONDS."""
        return FOLLOW_SECONDS

    def _follow(self) -> None:
        wanted = set(Queue.objects.values_list("name", flat=True))
        served = set(app.amqp.queues.consume_from)
        for queue in sorted(wanted - served):
            log.info("queue_served", queue=queue)
            self._consumer.call_soon(self._consumer.add_task_queue, queue)  # the event loop owns the connection
        for queue in sorted(served - wanted):
            log.info("queue_no_longer_served", queue=queue)
            self._consumer.call_soon(self._consumer.cancel_task_queue, queue)


class BeatProcess(WorkerService):
    """Runs beat as a child process of the worker, and starts it again if it ends.

    Only one beat at a time works, by its lock (`flagsite.beat`). So several workers may bring a beat along.
    """

    def __init__(self) -> None:
        super().__init__("beat")
        self._process: subprocess.Popen[bytes] | None = None
        self.wake()

    def steps(self) -> Iterator[Callable[[], object]]:
        """Return the one step of each turn."""
        yield self._keep_running

    def pause(self) -> float:
        """Return BEAT_LOOK_SECONDS."""
        return BEAT_LOOK_SECONDS

    def on_end(self) -> None:
        """End the process. Beat also ends by itself if the worker is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(BEAT_STOP_SECONDS / 2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _keep_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            log.warning("beat_ended", status=self._process.returncode)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "flagsite", "--quiet", "beat"],
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
        )
