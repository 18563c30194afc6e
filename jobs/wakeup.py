"""The wake-up message: a hint, sent after the commit, that a queue has something due. It may be lost or doubled.

The request never waits for the broker: a daemon thread sends the hints, and forgets those that the broker does not
take in time. The sweep sends anew for jobs that wait too long.
"""

from __future__ import annotations

import os
import queue as thread_queue
import threading

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

log = structlog.get_logger(__name__)


def wake(queue: str) -> None:
    """After the commit, tell a worker of `queue` to look for due jobs; with JOBS_INLINE run them here and now."""
    transaction.on_commit(lambda: _run_inline(queue) if settings.JOBS_INLINE else _publisher().put(queue))


def _run_inline(queue: str) -> None:
    try:
        current_app.signature("jobs.work", args=[queue]).apply()
    except Exception:  # the change is committed; the sweep will find the job
        log.exception("inline_run_failed", queue=queue)


def _send(queue: str) -> bool:
    """Publish one hint; False when the broker did not take it."""
    try:
        current_app.signature("jobs.work", args=[queue]).apply_async(queue=queue, retry=False)
    except Exception as error:  # whatever the transport raises: the database row is the truth
        log.warning("wake_up_not_sent", queue=queue, error=str(error))
        return False
    return True


def _send_for_ever(hints: thread_queue.SimpleQueue[str]) -> None:
    while True:
        if not _send(hints.get()):
            while not hints.empty():  # they would only wait for the same broker
                hints.get()


_lock = threading.Lock()
_hints: thread_queue.SimpleQueue[str] | None = None


def _publisher() -> thread_queue.SimpleQueue[str]:
    """The queue of this process's sending thread, started at the first use."""
    global _hints
    with _lock:
        if _hints is None:
            _hints = thread_queue.SimpleQueue()
            threading.Thread(target=_send_for_ever, args=[_hints], name="wake-up", daemon=True).start()
        return _hints


def _forget_after_fork() -> None:
    """A forked child has no copy of the thread; let it start its own."""
    global _hints, _lock
    _hints, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
