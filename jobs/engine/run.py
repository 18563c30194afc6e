"""The interface between the engine and the code of a kind: one run of one job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, BinaryIO, Self
from uuid import UUID

from flagsite.core.storable_text import is_storable_json, storable
from jobs.artifacts import output
from jobs.engine import lifecycle, stop_request
from jobs.engine.heartbeat import Heartbeat
from jobs.engine.models import Job, JobFailure, lease_time
from jobs.engine.time_limits import TimeLimits, kind_limits
from jobs.errors import CancelRequested, LeaseLost, ResultNotStorable, ResultTooLarge, StopRequested

MAX_RESULT_BYTES = 60 * 1024
"""Bytes of JSON; PostgreSQL allows 64 KiB of its own writing of it, with spaces."""


class Run:
    """A claimed job during its work. As a context manager it runs the heartbeat. Use it in one thread only."""

    def __init__(self, job: Job, *, end_at: float | None = None) -> None:
        if job.lease_token is None:
            raise LeaseLost
        self.job = job
        self.lease: UUID = job.lease_token
        self.result: Any = None
        """The result of the work (`set_result`)."""
        self.artifacts: list[output.WrittenArtifact] = []
        """The files that the attempt has written (`artifact`)."""
        self._cancel_requested = False
        self._end_at = end_at
        self.limits = TimeLimits(job.pk, kind_limits(job.kind))
        self.heartbeat = Heartbeat(job.pk, self.lease, is_hung=self.limits.is_hung)

    def __enter__(self) -> Self:
        self.limits.start()
        self.heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.limits.stop()
        self.heartbeat.stop(within=lease_time().total_seconds())

    def check(self) -> None:
        """Raise an exception if the work must end here. Call this between transactions.

        Raises LeaseLost, CancelRequested if a person has cancelled the job, StopRequested if the worker is stopping, or
        AttemptTimedOut if the attempt has used up the time of its kind.
        """
        if self.heartbeat.lost:
            raise LeaseLost
        if self._cancel_requested:
            raise CancelRequested
        if stop_request.is_requested() or (self._end_at is not None and time.monotonic() > self._end_at):
            raise StopRequested
        self.limits.check()

    def check_while_waiting(self) -> None:
        """Read the job again and check it, as work does again and again while it waits. Raises like both."""
        self.reload()
        self.check()

    def extend(self, seconds: float) -> None:
        """Give this attempt so many seconds more than its kind allows, counted from now, if it has a limit.

        Raises LeaseLost.
        """
        if self.limits.extend(seconds):
            lifecycle.extend(job_id=self.job.pk, lease=self.lease, seconds=seconds)

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
        """Add to the job's counts and store the checkpoint, in the caller's transaction.

        The counts are numbers of organizations since the last call. `total` replaces the number of organizations to
        process; None keeps it. Raises LeaseLost.
        """
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
        self.limits.advanced()

    def set_result(self, result: Any) -> None:
        """Keep the result of the work, JSON of at most MAX_RESULT_BYTES. It is written when the attempt is COMPLETED.

        Raises ResultTooLarge; larger results belong into an artifact. Raises ResultNotStorable for NaN, NUL and their
        kind, which PostgreSQL cannot store.
        """
        if not is_storable_json(result):
            raise ResultNotStorable
        size = len(json.dumps(result).encode())
        if size > MAX_RESULT_BYTES:
            raise ResultTooLarge(f"The result has {size:,} bytes, and may have {MAX_RESULT_BYTES:,}.")
        self.result = result

    @contextmanager
    def artifact(self, name: str, media_type: str, *, role: str = "") -> Iterator[BinaryIO]:
        """Yield a file to write. At the end of the block it becomes an artifact of the job.

        With `role`, its readers need this role beside that for downloads. The caller may seek in the file. People and
        programs can download it when the attempt is COMPLETED, or has ended by a permanent failure. If the block or the
        attempt ends in another way, there is no artifact. Raises InvalidArtifactName.
        """
        output.check_name(name, self.artifacts)
        with TemporaryFile() as content:
            yield content
            written = output.store(
                content, root_id=self.job.root_id, lease=self.lease, name=name, media_type=media_type, role=role
            )
        self.artifacts.append(written)
        self.limits.advanced()

    def record_failure(self, organization_id: int, error: str) -> None:
        """Record that the work failed for an organization, in the caller's transaction. Repeating it has no effect."""
        failure = JobFailure(job_id=self.job.pk, organization_id=organization_id, error=storable(error[:10_000]))
        JobFailure.objects.bulk_create([failure], ignore_conflicts=True)

    def reload(self) -> Job:
        """Read the job again, after a lost connection or a long wait, and return it. Raises LeaseLost.

        Work that waits for something, such as a lock, calls this while it waits. So it does not count as stalled.
        """
        job = Job.objects.filter(pk=self.job.pk, lease_token=self.lease).first()
        if job is None:
            raise LeaseLost
        self._cancel_requested |= job.cancel_requested_at is not None
        self.limits.advanced()
        self.job = job
        return job
