"""The wake-up message: a hint, sent after the commit, that a queue has something due. It may be lost or doubled.

No request waits for the broker: a background service sends the hints (`jobs.engine.wakeup_sender`), and drops those
that the broker does not take in time. The rescuer sends anew for jobs that wait too long.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from jobs.engine import inline
from jobs.engine.wakeup_sender import sender


def wake(queue: str) -> None:
    """After the commit, tell a worker of `queue` to look for due jobs; with JOBS_INLINE run them here and now."""
    transaction.on_commit(lambda: inline.run(queue) if settings.JOBS_INLINE else sender.put(queue))


def wake_later(queue: str, *, after: timedelta) -> None:
    """The same for a job that is due in a while: a worker's rescuer finds it, with JOBS_INLINE it is awaited here."""
    if settings.JOBS_INLINE:
        transaction.on_commit(lambda: inline.run(queue, after=after.total_seconds()))
