"""The heartbeat of a job: it renews the job's lease beside the work."""

from __future__ import annotations

import time
from uuid import UUID

import structlog
from django.db import connection, transaction

from flagsite.core.background import BackgroundService
from jobs.engine import lifecycle
from jobs.engine.models import lease_time
from jobs.errors import LeaseLost

log = structlog.get_logger(__name__)
TRUSTED = 0.9
"""Share of a lease for which a worker believes in it after it asked for the last renewal that was granted."""


class Heartbeat(BackgroundService):
    """Renews a lease three times in its length, on a connection of its own.

    Trust in the lease ends before the lease does: by the clock, and not when the thread says so, since the thread may
    wait for an answer that never comes.
    """

    def __init__(self, job_id: int, lease: UUID) -> None:
        super().__init__(f"heartbeat of job {job_id}")
        self._job_id = job_id
        self._lease = lease
        self._refused = False
        self._renewed = time.monotonic()

    @property
    def lost(self) -> bool:
        """Whether another worker may hold the lease by now."""
        return self._refused or time.monotonic() - self._renewed > lease_time().total_seconds() * TRUSTED

    def turn(self) -> None:
        """Renew the lease. If that is refused, there is nothing left to renew and the service ends."""
        asked = time.monotonic()
        try:
            with transaction.atomic():
                lifecycle.renew(job_id=self._job_id, lease=self._lease)
        except LeaseLost:
            self._refused = True
            self.ask_to_stop()
        else:
            self._renewed = asked

    def pause(self) -> float:
        """Return a third of the lease's length, in seconds."""
        return lease_time().total_seconds() / 3

    def on_error(self, error: Exception) -> None:
        """Log that the database is away; the next turn takes a new connection."""
        log.warning("heartbeat_failed", jobId=self._job_id, error=str(error))
        connection.close()

    def on_end(self) -> None:
        """Close the thread's own connection."""
        connection.close()
