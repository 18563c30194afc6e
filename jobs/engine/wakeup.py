"""Send wake-ups: messages after the commit which ask a worker to look for due jobs of a queue.

A wake-up may get lost or arrive twice without harm. No request waits for the broker: a background service sends the
wake-ups (`jobs.engine.wakeup_sender`), and drops those that the broker does not accept. The rescuer repeats the
wake-ups of jobs that have waited too long.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from jobs.engine import inline
from jobs.engine.wakeup_sender import sender


def wake(queue: str) -> None:
    """Send a wake-up for `queue` after the commit. With JOBS_INLINE, run the next job in this process instead."""
    transaction.on_commit(lambda: inline.run(queue) if settings.JOBS_INLINE else sender.put(queue))


def wake_later(queue: str, *, after: timedelta) -> None:
    """Arrange for a job to run that is due `after` some time.

    The rescuer of a worker finds the job when it is due. With JOBS_INLINE, this process waits and runs the job.
    """
    if settings.JOBS_INLINE:
        transaction.on_commit(lambda: inline.run(queue, after=after.total_seconds()))
