"""The heartbeat of a running job: a thread that renews the job's lease while another thread does the work."""

from __future__ import annotations

import time
from uuid import UUID

import structlog
from django.db import connection, transaction

from flagsite.core.adapters.django_orm import connect_directly
from flagsite.core.background import BackgroundService
from jobs.engine import lifecycle
from jobs.engine.models import lease_time
from jobs.errors import LeaseLost

log = structlog.get_logger(__name__)
TRUSTED_SHARE = 0.9
"""Share of the lease time for which a worker relies on a lease, counted from the request of the last renewal."""


class Heartbeat(BackgroundService):
    """Renews a lease every third of the lease time, on a database connection of its own.

    The connection goes past a connection pooler (DATABASE_DIRECT_URL). Otherwise the heartbeat could wait for a place
    in the pool, while jobs have all places, until a healthy worker loses its lease.

    `lost` becomes true before the lease expires. It depends on the clock and not on the thread, because the thread may
    wait for an answer of the database that never comes.
    """

    def __init__(self, job_id: int, lease: UUID) -> None:
        super().__init__(f"heartbeat of job {job_id}")
        self._job_id = job_id
        self._lease = lease
        self._refused = False
        self._renewed_at = time.monotonic()

    @property
    def lost(self) -> bool:
        """Whether another worker may have the lease by now."""
        trusted_seconds = lease_time().total_seconds() * TRUSTED_SHARE
        return self._refused or time.monotonic() - self._renewed_at > trusted_seconds

    def run(self) -> None:
        """Connect past a connection pooler, and renew the lease until the service has to stop."""
        connect_directly()
        super().run()

    def turn(self) -> None:
        """Renew the lease. If the database refuses, the lease is lost and the service ends."""
        requested_at = time.monotonic()
        try:
            with transaction.atomic():
                lifecycle.renew(job_id=self._job_id, lease=self._lease)
        except LeaseLost:
            self._refused = True
            self.ask_to_stop()
        else:
            self._renewed_at = requested_at

    def pause(self) -> float:
        """Return a third of the lease time, in seconds."""
        return lease_time().total_seconds() / 3

    def on_error(self, error: Exception) -> None:
        """Log that the database does not answer. The next turn opens a new connection."""
        log.warning("heartbeat_failed", jobId=self._job_id, error=str(error))
        connection.close()

    def on_end(self) -> None:
        """Close the thread's own connection."""
        connection.close()
