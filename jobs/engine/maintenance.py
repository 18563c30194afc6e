"""The registry of maintenance tasks, which every worker calls every few seconds.

Maintenance tasks therefore work even while Celery beat or the broker does not. Apps register their tasks here. Several
workers may call the same task at once, and beat may start the same work, so a task must be safe to run concurrently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

MaintenanceTask = TypeVar("MaintenanceTask", bound=Callable[[], Any])

_tasks: dict[str, Callable[[], Any]] = {}


def maintenance_task(work: MaintenanceTask) -> MaintenanceTask:
    """Register the decorated function as a maintenance task.

    The maintenance service of each worker calls the function every JOB_SWEEP_SECONDS. If the function raises an
    exception, the service logs it and calls the function again the next time.
    """
    _tasks[f"{work.__module__}.{work.__qualname__}"] = work
    return work


def registered_tasks() -> Iterator[Callable[[], Any]]:
    """Return all maintenance tasks in the order of their registration."""
    return iter(list(_tasks.values()))
