"""Run jobs in the process that creates them, without broker and workers (setting JOBS_INLINE).

The steps are the same as in a worker. A call of `run` runs its job and the retries of the job. It waits for retries
for MAX_WAIT_SECONDS at most. Retries that are due later, and jobs of a killed process, run in the next call, because
each call runs the rescuer first, as workers do.
"""

from __future__ import annotations

import heapq
import threading
import time

import structlog
from celery import current_app

from flagsite.core import actor

log = structlog.get_logger(__name__)
MAX_WAIT_SECONDS = 30.0
"""How long one call waits for retries. With the default settings of a queue, a chain that fails waits 14 seconds."""


class _ThreadState(threading.local):
    """The wake-ups that this thread still has to handle."""

    wake_ups: list[tuple[float, str]] | None = None
    """A heap of (due by the monotonic clock, name of the queue); None while the thread runs no job."""


_thread = _ThreadState()


def run(queue: str, *, after: float = 0.0) -> None:
    """Run the next job of the queue after `after` seconds, and then the jobs that become due because of it.

    A job that runs may wake further jobs. These run after it and not inside it, so that the stack does not grow with
    their number. Errors are logged, because the transaction that created the job is already committed.
    """
    wake_up = (time.monotonic() + after, queue)
    if _thread.wake_ups is not None:
        heapq.heappush(_thread.wake_ups, wake_up)
        return
    _thread.wake_ups = [wake_up]
    try:
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):  # not the caller of this request
            current_app.signature("jobs.sweep").apply()
            _run_all(_thread.wake_ups, until=time.monotonic() + MAX_WAIT_SECONDS)
    except Exception:  # the next call finds the job
        log.exception("inline_run_failed", queue=queue)
    finally:
        _thread.wake_ups = None


def _run_all(wake_ups: list[tuple[float, str]], *, until: float) -> None:
    while wake_ups and wake_ups[0][0] <= until:
        due, queue = heapq.heappop(wake_ups)
        time.sleep(max(0.0, due - time.monotonic()))
        current_app.signature("jobs.work", args=[queue]).apply()
