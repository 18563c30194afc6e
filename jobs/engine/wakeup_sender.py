"""The background service that sends wake-ups to the broker, so that no request waits for it."""

from __future__ import annotations

from collections import deque

import structlog
from celery import current_app

from flagsite.core.background import BackgroundService

log = structlog.get_logger(__name__)


class WakeUpSender(BackgroundService):
    """Sends wake-ups in the order in which they were asked for. The first one starts the thread."""

    def __init__(self) -> None:
        super().__init__("wake-up")
        self.waiting: deque[str] = deque()
        """The queues of the wake-ups that are not sent yet. Each step of a deque is safe between threads."""

    def put(self, queue: str) -> None:
        """Have a wake-up sent for the queue, soon."""
        self.start()
        self.waiting.append(queue)
        self.wake()

    def turn(self) -> None:
        """Send all that wait."""
        while self.waiting:
            send(self.waiting[0])
            self.waiting.popleft()

    def pause(self) -> None:
        """Wait until somebody wants a wake-up sent."""

    def on_error(self, error: Exception) -> None:
        """Log which wake-up the broker did not take, and drop the others: they would only wait for the same broker."""
        log.warning("wake_up_not_sent", queue=self.waiting[0], error=str(error))
        self.waiting.clear()

    def on_fork(self) -> None:
        """Drop what waits: the parent sends it."""
        self.waiting.clear()


def send(queue: str) -> None:
    """Publish one wake-up. Raises whatever the transport raises when the broker does not take it."""
    current_app.signature("jobs.work", args=[queue]).apply_async(queue=queue, retry=False)


sender = WakeUpSender()
