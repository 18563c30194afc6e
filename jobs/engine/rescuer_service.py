"""The background service that runs the rescuer in the main process of each worker, without Celery beat.

The service also writes the worker's beat into the worker registry. Maintenance tasks have a service of their own
(`jobs.engine.maintenance_service`), so that a slow task delays neither the beat nor the rescue of jobs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

from django.conf import settings

from flagsite.core.adapters.django_orm import connect_directly
from jobs.engine import stop_request, worker_registry
from jobs.engine.rescuer import expire_waiting, rescue_expired, wake_waiting
from jobs.engine.worker_service import WorkerService

TURN_SECONDS = 1.0
"""Longest time between two checks for due jobs. It is short, so that a retry starts soon after it is due."""
BEAT_SECONDS = 5.0
"""Time between two beats of the worker in the worker registry."""


class RescuerService(WorkerService):
    """Repeats wake-ups for due jobs at every turn, and rescues jobs every JOB_SWEEP_SECONDS.

    As the heartbeat of a job, it does not wait for a place in the pool of a connection pooler.
    """

    def __init__(
        self, *, queues: Callable[[], Sequence[str]], concurrency: int, name: str = "", wakes: bool = True
    ) -> None:
        """Create the service.

        Args:
            queues: returns the names of the queues that the worker serves now.
            concurrency: how many jobs the worker can run at once.
            name: the worker's name, for people.
            wakes: whether to repeat wake-ups; a worker without a broker does not send any.
        """
        super().__init__("rescuer")
        self._queues = queues
        self._concurrency = concurrency
        self._name = name
        self._wakes = wakes
        self._pid = os.getpid()
        self._next_rescue = self._next_beat = 0.0

    def run(self) -> None:
        """Connect past a connection pooler, and repeat the steps until the service has to stop."""
        connect_directly()
        super().run()

    def steps(self) -> Iterator[Callable[[], object]]:
        """Return the steps of this turn: the beat if it is due, the check for due jobs, the rescue if it is due."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            yield self._beat
        if self._wakes:
            yield wake_waiting
        if now >= self._next_rescue:
            self._next_rescue = now + settings.JOB_SWEEP_SECONDS
            yield rescue_expired
            yield expire_waiting

    def pause(self) -> float:
        """Return TURN_SECONDS, or less if the next rescue is due earlier."""
        return max(0.0, min(TURN_SECONDS, self._next_rescue - time.monotonic()))

    def on_end(self) -> None:
        """Write to the worker registry that the worker is stopping. Its jobs still finish their chunks."""
        self.attempt(self._beat)

    def _beat(self) -> None:
        worker_registry.beat(
            queues=self._queues(),
            concurrency=self._concurrency,
            pid=self._pid,
            name=self._name,
            is_stopping=stop_request.is_requested(),
        )
