"""With JOBS_INLINE jobs run where they are asked for, by the same steps as in a worker: no broker, no worker.

A call runs its job to the end of its chain: it waits for the retries too, LONGEST_WAIT at most. What is left after
that, or by a process that was killed, goes on with the next call, which runs the rescuer first, as workers do.
"""

from __future__ import annotations

import heapq
import threading
import time

import structlog
from celery import current_app

from flagsite.core import actor

log = structlog.get_logger(__name__)
LONGEST_WAIT = 30.0
"""Seconds that one call waits for retries; with a queue's default settings a chain that fails waits 14."""


class _Here(threading.local):
    """What this thread has still to run: when, by the monotonic clock, and of which queue. None: it runs nothing."""

    hints: list[tuple[float, str]] | None = None


_here = _Here()


def run(queue: str, *, after: float = 0.0) -> None:
    """Run the next job of the queue in so many seconds, and whatever that wakes.

    One that is woken by a run follows it, and is not called by it, however many wait.
    """
    hint = (time.monotonic() + after, queue)
    if _here.hints is not None:
        heapq.heappush(_here.hints, hint)
        return
    _here.hints = [hint]
    try:
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):  # not whoever's request this is
            current_app.signature("jobs.sweep").apply()
            _run_all(_here.hints, until=time.monotonic() + LONGEST_WAIT)
    except Exception:  # the change is committed; the next call finds the job
        log.exception("inline_run_failed", queue=queue)
    finally:
        _here.hints = None


def _run_all(hints: list[tuple[float, str]], *, until: float) -> None:
    while hints and hints[0][0] <= until:
        due, queue = heapq.heappop(hints)
        time.sleep(max(0.0, due - time.monotonic()))
        current_app.signature("jobs.work", args=[queue]).apply()
