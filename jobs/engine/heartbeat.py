"""The heartbeat of a running job: a thread that renews the job's lease while another thread does the work.

Most jobs end long before their lease has to be renewed. So one thread of the process, the starter, starts the heartbeat
of a job only after a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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

    A heartbeat does not keep a job alive that hangs. If nobody can end the process of the job, as in a web process or
    in a child whose worker was killed, the lease expires, and the rescuer gives the job to another worker.
    """

    def __init__(self, job_id: int, lease: UUID, *, is_hung: Callable[[], bool] = lambda: False) -> None:
        super().__init__(f"heartbeat of job {job_id}")
        self._is_hung = is_hung
        self._job_id = job_id
        self._lease = lease
        self._refused = False
        self._renewed_at = time.monotonic()

    @property
    def lost(self) -> bool:
        """Whether another worker may have the lease by now."""
        trusted_seconds = lease_time().total_seconds() * TRUSTED_SHARE
        return self._refused or time.monotonic() - self._renewed_at > trusted_seconds

    def start(self) -> None:
        """Let the starter start the thread, unless the job has ended before that."""
        starter.put(self)

    def start_thread(self) -> None:
        """Start the thread now."""
        super().start()

    def stop(self, *, within: float | None = 5.0) -> None:
        """Stop renewing the lease, and wait for the thread if it was started."""
        starter.withdraw(self)
        super().stop(within=within)

    def start_in(self) -> float:
        """Return the seconds until the thread has to start: a sixth of the lease time after the claim."""
        return self._renewed_at + lease_time().total_seconds() / 6 - time.monotonic()

    def run(self) -> None:
        """Connect past a connection pooler, and renew the lease until the service has to stop."""
        connect_directly()
        super().run()

    def turn(self) -> None:
        """Renew the lease. If the database refuses, or if the job hangs, the lease is lost and the service ends."""
        if self._is_hung():
            log.error("job_hangs", jobId=self._job_id)
            self._refused = True
            self.ask_to_stop()
            return
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


class HeartbeatStarter(BackgroundService):
    """Starts the heartbeats of jobs that last."""

    def __init__(self) -> None:
        super().__init__("heartbeat starter")
        self._waiting: set[Heartbeat] = set()
        self._sleeps = False
        """Whether the thread waits for `wake`, so that `put` has to wake it."""

    def put(self, heartbeat: Heartbeat) -> None:
        """Start this heartbeat after a while."""
        self.start()
        self._waiting.add(heartbeat)
        if self._sleeps:
            self.wake()

    def withdraw(self, heartbeat: Heartbeat) -> None:
        """Do not start this heartbeat any more."""
        self._waiting.discard(heartbeat)

    def turn(self) -> None:
        """Start the heartbeats whose time has come."""
        for heartbeat in list(self._waiting):
            if heartbeat.start_in() <= 0:
                self.withdraw(heartbeat)
                heartbeat.start_thread()

    def pause(self) -> float | None:
        """Return the seconds until the next heartbeat has to start; None while no job runs."""
        self._sleeps = True  # before the look at the waiting ones, so that `put` misses nothing
        waits = [heartbeat.start_in() for heartbeat in list(self._waiting)]
        self._sleeps = not waits
        return max(0.0, min(waits)) if waits else None

    def on_error(self, error: Exception) -> None:
        """Log the error. The next turn tries again."""
        log.warning("heartbeat_failed", jobId=None, error=str(error))

    def on_fork(self) -> None:
        """Forget the jobs of the parent process."""
        self._waiting.clear()


starter = HeartbeatStarter()
