"""Send wake-ups: messages after the commit which ask a worker to look for due jobs of a queue.

A wake-up may get lost or arrive twice without harm. No request waits for the broker: a background service sends the
wake-ups (`jobs.engine.wakeup_sender`), and drops those that the broker does not accept. The rescuer repeats the
wake-ups of jobs that have waited too long.

A wake-up names the job that caused it, if it knows the job. That is a hint for people who watch the messages (Flower,
`celery events`). The worker claims the next due job of the queue by the rules of the claim, whatever the hint says.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from jobs.engine import inline
from jobs.engine.wakeup_sender import WakeUp, sender

_polled: set[str] = set()


def poll(queues: Iterable[str]) -> None:
    """Send no wake-ups for these queues from now on, because this process looks for their due jobs again and again."""
    _polled.clear()
    _polled.update(queues)


def wake(queue: str, *, job_id: int | None = None, kind: str = "") -> None:
    """Send a wake-up for `queue` after the commit. With JOBS_INLINE, run the next job in this process instead.

    `job_id` and `kind` are those of the job that became due, if the caller knows it.
    """
    wake_up = WakeUp(queue, job_id, kind)
    transaction.on_commit(lambda: _deliver(wake_up))


def wake_later(queue: str, *, after: timedelta) -> None:
    """Arrange for a job to run that is due `after` some time.

    The rescuer of a worker finds the job when it is due. With JOBS_INLINE, this process waits and runs the job.
    """
    if settings.JOBS_INLINE and queue not in _polled:
        transaction.on_commit(lambda: inline.run(queue, after=after.total_seconds()))


def _deliver(wake_up: WakeUp) -> None:
    if wake_up.queue in _polled:
        return
    if settings.JOBS_INLINE:
        inline.run(wake_up.queue)
    else:
        sender.put(wake_up)
