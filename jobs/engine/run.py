"""One run of one job: what the code of a kind sees of the engine, and the heartbeat that keeps its lease."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import structlog
from django.db import connection, transaction

from jobs.engine import lifecycle, shutdown
from jobs.engine.models import Job, JobFailure, lease_time
from jobs.errors import CancelRequested, LeaseLost, StopRequested

log = structlog.get_logger(__name__)
TRUSTED = 0.9
"""Share of a lease for which a worker believes in it after it asked for the last renewal that was granted."""


class Run:
    """A claimed job while it is worked on. Not for sharing between threads, except its heartbeat's flag."""

    def __init__(self, job: Job) -> None:
        if job.lease_token is None:
            raise LeaseLost
        self.job = job
        self.lease: UUID = job.lease_token
        self._cancel_requested = False
        self._heartbeat = Heartbeat(job.pk, self.lease)

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.stop()

    def check(self) -> None:
        """To be called between transactions: raises when the work must end here.

        Raises LeaseLost, CancelRequested or StopRequested.
        """
        if self._heartbeat.lost:
            raise LeaseLost
        if self._cancel_requested:
            raise CancelRequested
        if shutdown.is_requested():
            raise StopRequested

    def record_progress(
        self,
        *,
        processed: int = 0,
        failed: int = 0,
        superseded: int = 0,
        unchanged: int = 0,
        total: int | None = None,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        """Add to the job's counts and set where to go on, in the caller's transaction. Raises LeaseLost."""
        self._cancel_requested |= lifecycle.record_progress(
            job_id=self.job.pk,
            lease=self.lease,
            processed=processed,
            failed=failed,
            superseded=superseded,
            unchanged=unchanged,
            total=total,
            checkpoint=None if checkpoint is None else json.dumps(checkpoint),
        )

    def record_failure(self, organization_id: int, error: str) -> None:
        """Note that the work failed for one organization, in the caller's transaction. Twice is once."""
        failure = JobFailure(job_id=self.job.pk, organization_id=organization_id, error=error[:10_000])
        JobFailure.objects.bulk_create([failure], ignore_conflicts=True)

    def reload(self) -> Job:
        """Read the job's row again, after a connection was lost or a long wait. Raises LeaseLost."""
        job = Job.objects.filter(pk=self.job.pk, lease_token=self.lease).first()
        if job is None:
            raise LeaseLost
        self._cancel_requested |= job.cancel_requested_at is not None
        self.job = job
        return job


class Heartbeat:
    """A thread that renews a lease three times in its length, on a connection of its own.

    Trust in the lease ends before the lease does: by the clock, and not when the thread says so, which may be waiting
    for an answer that never comes.
    """

    def __init__(self, job_id: int, lease: UUID) -> None:
        self._refused = False
        self._renewed = time.monotonic()
        self._job_id = job_id
        self._lease = lease
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of job {job_id}", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether another may hold the lease by now."""
        return self._refused or time.monotonic() - self._renewed > lease_time().total_seconds() * TRUSTED

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=lease_time().total_seconds())

    def _beat(self) -> None:
        length = lease_time().total_seconds()
        try:
            while not self._stop.wait(length / 3):
                asked = time.monotonic()
                try:
                    with transaction.atomic():
                        lifecycle.renew(job_id=self._job_id, lease=self._lease)
                    self._renewed = asked
                except LeaseLost:
                    self._refused = True
                    return
                except Exception as error:  # noqa: BLE001 - database away: the next beat tries again
                    log.warning("heartbeat_failed", jobId=self._job_id, error=str(error))
                    connection.close()
        finally:
            connection.close()
