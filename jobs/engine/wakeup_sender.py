"""The background service that sends wake-ups to the broker, so that no request waits for the broker."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

import structlog
from celery import current_app

from flagsite.core.background import BackgroundService

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A message that asks a worker to look for due jobs of a queue."""

    queue: str
    job_id: int | None = None
    """The job that became due, as a hint for people who watch the messages; None if the sender does not know it."""
    kind: str = ""
    """The kind of this job."""


class WakeUpSender(BackgroundService):
    """Sends wake-ups in the order of the calls of `put`. The first call starts the thread."""

    def __init__(self) -> None:
        super().__init__("wake-up")
        self.waiting: deque[WakeUp] = deque()
        """The wake-ups that are not sent yet. The operations of a deque are thread-safe."""
        self.sending = threading.Lock()
        """Held during a turn. Whoever forks takes it: a child could never take a lock of the client for the broker that
        the thread held at the fork."""

    def put(self, wake_up: WakeUp) -> None:
        """Let the thread send a wake-up soon."""
        self.start()
        self.waiting.append(wake_up)
        self.wake()

    def turn(self) -> None:
        """Send all waiting wake-ups."""
        with self.sending:
            while self.waiting:
                send(self.waiting[0])
                self.waiting.popleft()

    def pause(self) -> None:
        """Wait for the next call of `put`."""

    def on_error(self, error: Exception) -> None:
        """Log the wake-up that the broker did not accept, and drop all others, which need the same broker."""
        log.warning("wake_up_not_sent", queue=self.waiting[0].queue, error=str(error))
        self.waiting.clear()

    def on_fork(self) -> None:
        """Drop the waiting wake-ups, which the parent process sends."""
        self.waiting.clear()
        self.sending = threading.Lock()


def send(wake_up: WakeUp) -> None:
    """Send one wake-up. Raises the transport's exception if the broker does not accept the wake-up.

    The hint is not an argument of the task, so that workers of the release before understand the message too. It is in
    the headers for programs, and in the arguments' text for people.
    """
    shown = f"({wake_up.queue!r},)"
    headers: dict[str, Any] = {}
    if wake_up.job_id is not None:
        headers = {"jobId": wake_up.job_id, "jobKind": wake_up.kind}
        shown = f"({wake_up.queue!r}, job {wake_up.job_id}, {wake_up.kind})"
    signature = current_app.signature("jobs.work", args=[wake_up.queue])
    signature.apply_async(queue=wake_up.queue, retry=False, headers=headers, argsrepr=shown)


sender = WakeUpSender()
