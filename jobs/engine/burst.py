"""A worker without a broker: processes that claim jobs straight from the database until nothing is due (a burst).

A burst works while the broker is away, and where nobody runs workers all the time. Its child processes do what the
children of any other worker do. The main process starts them, replaces a child that dies, rescues jobs, and ends
children that hang.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Q
from django.db.models.functions import Now

from flagsite.core import actor
from flagsite.core.db import clock, transient_errors
from jobs.engine import maintenance, rescuer, runner, stop_request, wakeup, worker_registry
from jobs.engine.kinds import known_kinds
from jobs.engine.models import Job, Queue
from jobs.engine.rescuer_service import RescuerService
from jobs.engine.states import Status
from jobs.engine.wakeup_sender import sender
from jobs.engine.watch_service import WatchService

log = structlog.get_logger(__name__)
MAX_WAIT_SECONDS = 30.0
"""How long a burst waits for jobs that are due later, if it has to wait for them at all. Other work does not count."""
LOOK_SECONDS = 0.2
"""The pause of a child that found no job, and the length of a turn of the main process."""
DATABASE_SECONDS = 30.0
"""How long a child tries again while the database does not answer."""
MOST_FAULTS = 3
"""After so many children that ended by an error of their own, the burst gives up."""
AT_WORK, IDLE = 0, 1


@dataclass(frozen=True, slots=True)
class BurstResult:
    """What a burst has done: the attempts that ended, the chains that are FAILED, and whether it came to its end."""

    attempts: int
    failed_chains: int
    is_complete: bool
    unknown_kinds: tuple[str, ...] = ()
    """The kinds of due jobs that it has left, because it does not know them."""

    @property
    def has_failed(self) -> bool:
        """Whether a chain is FAILED, or the burst was stopped before its end."""
        return bool(self.failed_chains) or not self.is_complete


class Burst:
    """A run of a worker without a broker.

    The burst ends when its children find no job that may start, and none of them runs a job. So it does not wait for
    the jobs of a paused queue, nor for retries that are due later, unless `until_done` is set. It never waits for jobs
    whose kind it does not know.
    """

    def __init__(
        self,
        *,
        queues: Sequence[str],
        concurrency: int,
        name: str,
        until_done: bool = False,
        on_child_start: Callable[[], object] = lambda: None,
        on_child_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Create the burst without starting it.

        Args:
            queues: the names of the queues; the burst looks into them in turn.
            concurrency: the number of child processes.
            name: the worker's name in the worker registry.
            until_done: whether to wait MAX_WAIT_SECONDS in all for jobs that are due later, such as retries.
            on_child_start: a child calls this first.
            on_child_end: a child calls this last.
        """
        self._queues = list(queues)
        self._until_done = until_done
        self._on_child_start, self._on_child_end = on_child_start, on_child_end
        self._main_pid = os.getpid()
        self._states = mmap.mmap(-1, concurrency + 1)  # one byte for each child, and one that says that it is over
        self._over = concurrency
        self._children: list[BaseProcess | None] = [None] * concurrency
        self._faults = 0
        self._can_wait = MAX_WAIT_SECONDS
        self._services = [  # the main process takes their turns itself: no thread of it may hold a lock at a fork
            RescuerService(queues=lambda: self._queues, concurrency=concurrency, name=name, wakes=False),
            WatchService(),
        ]

    def run(self) -> BurstResult:
        """Run the due jobs, and return what came of them. SIGTERM and SIGINT let the running jobs finish a chunk."""
        began = clock.now()
        wakeup.poll(self._queues)
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):
            for task in maintenance.registered_tasks():
                task()
            rescuer.rescue_expired()
            rescuer.expire_waiting()
        connections.close_all()  # a child must not use a connection of its parent
        with _asked_to_stop_by_signals():
            is_complete = self._run_children()
        try:
            return self._result(began, is_complete=is_complete)
        finally:
            worker_registry.leave()

    def _run_children(self) -> bool:
        """Keep the children running until nothing is due. Returns whether it came to that."""
        try:
            self._start_missing_children()
            while not stop_request.is_requested() and self._faults < MOST_FAULTS:
                self._turn()
                self._start_missing_children()
                if self._is_idle() and not self._has_more():
                    return not stop_request.is_requested()  # then a child is idle because it has let its job go
            return False
        finally:
            self._states[self._over] = 1
            self._end_children()

    def _turn(self) -> None:
        time.sleep(LOOK_SECONDS)
        for service in self._services:
            service.turn()

    def _end_children(self) -> None:
        """Wait for the end of the children. After a request to stop they have WORKER_STOP_SECONDS."""
        deadline = time.monotonic() + settings.WORKER_STOP_SECONDS
        alive = [child for child in self._children if child is not None]
        while alive := [child for child in alive if child.is_alive()]:
            if stop_request.is_requested() and time.monotonic() > deadline:
                for child in alive:
                    child.kill()
            self._turn()

    def _start_missing_children(self) -> None:
        for number, child in enumerate(self._children):
            if child is not None and child.exitcode is not None:
                log.error("burst_process_ended", pid=child.pid, status=child.exitcode)
                self._faults += child.exitcode > 0
            if child is None or child.exitcode is not None:
                self._states[number] = AT_WORK
                connections.close_all()
                process: Any = multiprocessing.get_context("fork").Process(target=self._work, args=(number,))
                with sender.sending:
                    process.start()
                self._children[number] = process

    def _is_idle(self) -> bool:
        return all(self._states[number] == IDLE for number in range(self._over))

    def _has_more(self) -> bool:
        """Return whether a job of a killed child has to be rescued, or a job is due soon enough to wait for it."""
        try:
            if Job.objects.filter(status=Status.IN_PROGRESS).filter(_is_own()).exists():
                return True
            if not self._until_done or self._can_wait <= 0:
                return False
            self._can_wait -= LOOK_SECONDS
            soon = Job.objects.filter(
                status=Status.PENDING, queue__in=self._queues, run_at__lt=Now() + timedelta(seconds=self._can_wait),
                kind__in=known_kinds(),
            )  # fmt: skip
            paused = Queue.objects.filter(paused_at__isnull=False).values("name")
            return soon.exclude(queue__in=paused).exists()
        except DatabaseError as error:  # the children give up if this lasts
            log.warning("sweep_failed", error=str(error))
            connections.close_all()
            return True

    def _result(self, began: datetime, *, is_complete: bool) -> BurstResult:
        ended = Job.objects.filter(_is_own(), completed_at__gte=began)
        failed = ended.filter(status=Status.FAILED).values_list("pk", "parent_job_id")
        roots = {parent or pk for pk, parent in failed}
        left = Job.objects.due().filter(queue__in=self._queues).exclude(kind__in=known_kinds())
        return BurstResult(
            attempts=ended.count(), failed_chains=len(roots), is_complete=is_complete,
            unknown_kinds=tuple(left.order_by("kind").values_list("kind", flat=True).distinct()),
        )  # fmt: skip

    # --- in a child -------------------------------------------------------------------------------------------------
    def _work(self, number: int) -> None:
        """Run jobs until the main process says that it is over and nothing is due, or has died."""
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)  # the main process tells the children to stop
        self._on_child_start()
        first = number
        while os.getppid() == self._main_pid:
            self._states[number] = AT_WORK
            found = transient_errors.retry_transient_errors(
                partial(self._run_one, first), timeout_seconds=DATABASE_SECONDS, max_pause_seconds=2.0
            )
            if found is not None:
                first = found + 1  # each queue gets its turn
                continue
            self._states[number] = IDLE
            if self._states[self._over] or stop_request.is_requested():
                break
            time.sleep(LOOK_SECONDS)
        self._on_child_end()

    def _run_one(self, first: int) -> int | None:
        """Run a job of the first queue, from number `first` on, in which one may start. Returns the queue's number."""
        for offset in range(len(self._queues)):
            number = (first + offset) % len(self._queues)
            if runner.run_one(self._queues[number]) is not None:
                return number
        return None


def _is_own() -> Q:
    """The condition for jobs that the processes of this worker have claimed last."""
    return Q(worker__endswith=f":{worker_registry.TOKEN}")


@contextmanager
def _asked_to_stop_by_signals() -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP ask the worker to stop, as they do with every other worker."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    former = {number: signal.signal(number, lambda *_: stop_request.request_stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
