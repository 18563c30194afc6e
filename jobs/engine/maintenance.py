"""What each worker sees to at every sweep, so that it happens though beat or the broker is away.

A registry that the apps above fill, as with the kinds of jobs. What is in it must be safe to do in many workers at
once, and beside beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

MaintenanceTask = TypeVar("MaintenanceTask", bound=Callable[[], Any])

_chores: dict[str, Callable[[], Any]] = {}


def maintenance_task(work: MaintenanceTask) -> MaintenanceTask:
    """Register the decorated function: a thread of each worker's main process calls it every JOB_SWEEP_SECONDS.

    What it raises is logged, and the next sweep calls it again.
    """
    _chores[f"{work.__module__}.{work.__qualname__}"] = work
    return work


def registered_tasks() -> Iterator[Callable[[], Any]]:
    """All chores, in the order in which they were registered."""
    return iter(list(_chores.values()))
