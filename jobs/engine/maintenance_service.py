"""The background service that runs the maintenance tasks in the main process of each worker, without Celery beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings

from jobs.engine import maintenance
from jobs.engine.worker_service import WorkerService


class MaintenanceService(WorkerService):
    """Calls every maintenance task when the worker starts, and then every JOB_SWEEP_SECONDS."""

    def __init__(self) -> None:
        super().__init__("maintenance")
        self.wake()

    def steps(self) -> Iterable[Callable[[], object]]:
        """Return the maintenance tasks."""
        return maintenance.registered_tasks()

    def pause(self) -> float:
        """Return JOB_SWEEP_SECONDS."""
        return float(settings.JOB_SWEEP_SECONDS)
