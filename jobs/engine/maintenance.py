"""The maintenance tasks: what every worker does now and then, so that it is done though beat or the broker is away.

A registry that the apps above fill, as with the kinds of jobs. A maintenance task must be safe to do in many workers
at once, and beside beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

MaintenanceTask = TypeVar("MaintenanceTask", bound=Callable[[], Any])

_tasks: dict[str, Callable[[], Any]] = {}


def maintenance_task(work: MaintenanceTask) -> MaintenanceTask:
    """Register the decorated function: each worker's maintenance service calls it every JOB_SWEEP_SECONDS.

    What it raises is logged, and it is called again the next time.
    """
    _tasks[f"{work.__module__}.{work.__qualname__}"] = work
    return work


def registered_tasks() -> Iterator[Callable[[], Any]]:
    """Return all maintenance tasks, in the order in which they were registered."""
    return iter(list(_tasks.values()))
