"""The background service that sends wake-ups to the broker, so that no request waits for the broker."""

from __future__ import annotations

from collections import deque

import structlog
from celery import current_app

from flagsite.core.background import BackgroundService

log = structlog.get_logger(__name__)


class WakeUpSender(BackgroundService):
    """Sends wake-ups in the order of the calls of `put`. The first call starts the thread."""

    def __init__(self) -> None:
        super().__init__("wake-up")
        self.waiting: deque[str] = deque()
        """The queues of the wake-ups that are not sent yet. The operations of a deque are thread-safe."""

    def put(self, queue: str) -> None:
        """Let the thread send a wake-up for the queue soon."""
        self.start()
        self.waiting.append(queue)
        self.wake()

    def turn(self) -> None:
        """Send all waiting wake-ups."""
        while self.waiting:
            send(self.waiting[0])
            self.waiting.popleft()

    def pause(self) -> None:
        """Wait for the next call of `put`."""

    def on_error(self, error: Exception) -> None:
        """Log the wake-up that the broker did not accept, and drop all others, which need the same broker."""
        log.warning("wake_up_not_sent", queue=self.waiting[0], error=str(error))
        self.waiting.clear()

    def on_fork(self) -> None:
        """Drop the waiting wake-ups, which the parent process sends."""
        self.waiting.clear()


def send(queue: str) -> None:
    """Send one wake-up. Raises the transport's exception if the broker does not accept the wake-up."""
    current_app.signature("jobs.work", args=[queue]).apply_async(queue=queue, retry=False)


sender = WakeUpSender()
