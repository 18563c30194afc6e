"""The rescuer of a worker, in its main process: jobs are rescued and retries begin even while beat is away.

The service also writes the worker's beat into the worker registry. Maintenance tasks have a service of their own
(`jobs.engine.maintenance_service`): a slow one must not make the worker look dead, nor keep the jobs of dead workers
waiting.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

from django.conf import settings

from jobs.engine import shutdown, worker_registry
from jobs.engine.rescuer import rescue_expired, wake_waiting
from jobs.engine.worker_service import WorkerService

TURN_SECONDS = 1.0
"""Longest time between two looks for due jobs, so that a retry begins close to its time."""
BEAT_SECONDS = 5.0
"""Time between two beats in the worker registry."""


class RescuerService(WorkerService):
    """Wakes workers for due jobs at every turn, and rescues jobs every JOB_SWEEP_SECONDS."""

    def __init__(self, *, queues: Sequence[str], concurrency: int) -> None:
        super().__init__("rescuer")
        self._queues = queues
        self._concurrency = concurrency
        self._pid = os.getpid()
        self._next_rescue = self._next_beat = 0.0

    def steps(self) -> Iterator[Callable[[], object]]:
        """Return the beat, if it is due; the look for due jobs; the rescue, if it is due."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            yield self._beat
        yield wake_waiting
        if now >= self._next_rescue:
            self._next_rescue = now + settings.JOB_SWEEP_SECONDS
            yield rescue_expired

    def pause(self) -> float:
        """Return TURN_SECONDS, or less where the next rescue is due before."""
        return max(0.0, min(TURN_SECONDS, self._next_rescue - time.monotonic()))

    def on_end(self) -> None:
        """Write in the worker registry that the worker stops, while its jobs finish their chunk."""
        self.attempt(self._beat)

    def _beat(self) -> None:
        worker_registry.beat(
            queues=self._queues, concurrency=self._concurrency, pid=self._pid, is_stopping=shutdown.is_requested()
        )
