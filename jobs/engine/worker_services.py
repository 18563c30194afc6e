"""The worker's own sweep, in its main process: jobs are rescued and retries begin though beat is away.

It also says every few seconds that the worker is there. Maintenance tasks (`jobs.engine.maintenance`) have a thread of
their own: a slow one must not make the worker look dead, nor keep dead workers' jobs waiting.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from django.conf import settings
from django.db import connection

from flagsite.core import actor
from flagsite.core.db import transient_errors
from jobs.engine import maintenance, shutdown, worker_registry
from jobs.engine.rescuer import rescue_expired, wake_waiting

TICK = 1.0
"""Seconds between two looks for due jobs, so that a retry begins close to its time."""
BEAT = 5.0
"""Seconds between two signs of life."""

log = structlog.get_logger(__name__)


class WorkerServices:
    """Wakes workers for due jobs every TICK, rescues and does chores each JOB_SWEEP_SECONDS, until the worker stops."""

    def __init__(self, *, queues: Sequence[str], concurrency: int) -> None:
        self._queues = queues
        self._concurrency = concurrency
        self._pid = os.getpid()
        self._next_rescue = self._next_beat = 0.0
        self._is_away = False

    def start(self) -> None:
        """Begin, in threads of its own."""
        threading.Thread(target=self._sweep_for_ever, name="sweeper", daemon=True).start()
        threading.Thread(target=self._do_chores_for_ever, name="chores", daemon=True).start()

    def _sweep_for_ever(self) -> None:
        pause = threading.Event()
        while not shutdown.is_requested():
            self._turn()
            pause.wait(self._pause())
        self._safely(self._say_that_it_is_there)  # stopping: its jobs finish their chunk

    def _do_chores_for_ever(self) -> None:
        pause = threading.Event()
        while not shutdown.is_requested():
            for chore in maintenance.registered_tasks():
                self._safely(chore)
            pause.wait(settings.JOB_SWEEP_SECONDS)

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT
            self._safely(self._say_that_it_is_there)
        self._safely(wake_waiting)
        if now >= self._next_rescue:
            self._next_rescue = now + settings.JOB_SWEEP_SECONDS
            self._safely(rescue_expired)

    def _pause(self) -> float:
        """Until the next turn: a TICK, or less where the next rescue is due before."""
        return max(0.0, min(TICK, self._next_rescue - time.monotonic()))

    def _say_that_it_is_there(self) -> None:
        worker_registry.beat(
            queues=self._queues, concurrency=self._concurrency, pid=self._pid, is_stopping=shutdown.is_requested()
        )
        self._is_away = False

    def _safely(self, step: Callable[[], object]) -> None:
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
            passes = transient_errors.is_transient(error)
            if not (passes and self._is_away):
                log.warning("sweep_failed", error=str(error))
            self._is_away = self._is_away or passes
            connection.close()
