"""The wake-up message: a hint, sent after the commit, that a queue has something due. It may be lost or doubled.

The request never waits for the broker: a daemon thread sends the hints, and forgets those that the broker does not
take in time. The sweep sends anew for jobs that wait too long.
"""

from __future__ import annotations

import os
import queue as thread_queue
import threading
from datetime import timedelta

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

from jobs.engine import inline

log = structlog.get_logger(__name__)


def wake(queue: str) -> None:
    """After the commit, tell a worker of `queue` to look for due jobs; with JOBS_INLINE run them here and now."""
    transaction.on_commit(lambda: inline.run(queue) if settings.JOBS_INLINE else _sender.put(queue))


def wake_later(queue: str, *, after: timedelta) -> None:
    """The same for a job that is due in a while: workers have their sweep for it, with JOBS_INLINE it is awaited."""
    if settings.JOBS_INLINE:
        transaction.on_commit(lambda: inline.run(queue, after=after.total_seconds()))


def _send(queue: str) -> bool:
    """Publish one hint; False when the broker did not take it."""
    try:
        current_app.signature("jobs.work", args=[queue]).apply_async(queue=queue, retry=False)
    except Exception as error:  # noqa: BLE001 - whatever the transport raises: the database row is the truth
        log.warning("wake_up_not_sent", queue=queue, error=str(error))
        return False
    return True


class Sender:
    """This process's sending thread, started at the first hint, and anew after a fork."""

    _lock: threading.Lock
    _hints: thread_queue.SimpleQueue[str]
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def put(self, queue: str) -> None:
        """Have a hint sent for the queue."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_for_ever, name="wake-up", daemon=True)
                self._thread.start()
        self._hints.put(queue)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._hints = thread_queue.SimpleQueue()
        self._thread = None

    def _send_for_ever(self) -> None:
        while True:
            if not _send(self._hints.get()):
                while not self._hints.empty():  # they would only wait for the same broker
                    self._hints.get()


_sender = Sender()
