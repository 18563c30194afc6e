"""What a worker does with a wake-up: claim one job, run it, record how it ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from flagsite.core import actor
from flagsite.core.db import transient_errors
from jobs.engine import lifecycle, shutdown, tracing, transitions, wakeup, worker_registry
from jobs.engine.kinds import kind_named
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import CancelRequested, LeaseLost, PermanentFailure, StopRequested, UnknownKind

log = structlog.get_logger(__name__)
PATIENCE = 30.0
"""Seconds for which a worker tries to record the end of a job while the database is away."""
LONGEST_PAUSE = 5.0
"""Seconds between two such tries, at most."""


def run_next(queue: str) -> Job | None:
    """Run the next due job of `queue` and return it as it was claimed; None when nothing may start now."""
    if shutdown.is_requested():
        wakeup.wake(queue)  # the hint is for a worker that stays
        return None
    job = lifecycle.claim(queue=queue, worker=worker_registry.process_name())
    if job is None:
        return None
    run_claimed(job)
    if Job.objects.due().filter(queue=queue).exists():
        wakeup.wake(queue)
    return job


def run_claimed(job: Job) -> None:
    """Do a claimed job's work and record its end, whatever it is.

    The worker acts; what a person asked for is recorded by the name that the job has it by.
    """
    with (
        actor.acting("worker", actor=actor.SYSTEM, correlation_id=job.correlation_id),
        structlog.contextvars.bound_contextvars(jobId=job.pk),
    ):
        fields = transitions.log_fields(job) | {"isRetry": job.parent_job_id is not None, "worker": job.worker}
        log.info("job_started", **fields, kind=job.kind, attempt=job.round_attempt + 1)
        with tracing.span(f"job {job.kind}", job.trace_context, _attributes(job)):
            try:
                with Run(job) as run:
                    end = _work(run)
                    _persist(end)
            except LeaseLost:
                log.warning("job_lease_lost", organizationId=job.organization_id)


def _attributes(job: Job) -> dict[str, Any]:
    """What a trace tells of the job."""
    return {
        "flagsite.job_id": job.pk,
        "flagsite.root_job_id": job.root_id,
        "flagsite.organization_id": job.organization_id,
        "flagsite.queue": job.queue,
        "flagsite.attempt": job.round_attempt + 1,
        "flagsite.correlation_id": job.correlation_id,
    }


def _work(run: Run) -> Callable[[], object]:
    """Do the work; return the step that records how it went. Raises LeaseLost."""
    job_id, lease = run.job.pk, run.lease
    try:
        kind_named(run.job.kind).work(run)
    except LeaseLost:
        raise
    except StopRequested:
        return partial(lifecycle.release, job_id=job_id, lease=lease)
    except CancelRequested:
        return partial(lifecycle.stop, job_id=job_id, lease=lease)
    except (PermanentFailure, UnknownKind) as error:
        return partial(lifecycle.fail, job_id=job_id, lease=lease, error=error.detail, permanent=True)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the job's error
        trace = _storable(traceback.format_exc())
        return partial(lifecycle.fail, job_id=job_id, lease=lease, error=_in_words(error), traceback=trace)
    return partial(_finish, run)


def _finish(run: Run) -> None:
    """End a job that has done what it could: FAILED when every organization failed, else COMPLETED."""
    job = run.reload()
    first = job.failures.order_by("organization_id").first()
    example = f"; the first: {first.organization_id}: {first.error}" if first else ""
    message = None
    if job.failed and not job.processed:
        error = f"All {job.failed} organizations failed{example}"
        lifecycle.fail(job_id=job.pk, lease=run.lease, error=error)
        return
    if job.failed:
        message = f"{job.failed} of {job.failed + job.processed} organizations failed{example}"
    elif job.processed and job.superseded == job.processed:
        message = "A newer change had been made on every organization; nothing was left to write."
    lifecycle.complete(job_id=job.pk, lease=run.lease, message=message)


def _persist(end: Callable[[], object]) -> None:
    """Record the end, trying again while the database is away, at most PATIENCE seconds."""
    transient_errors.retry_transient_errors(end, timeout_seconds=PATIENCE, max_pause_seconds=LONGEST_PAUSE)


def _in_words(error: Exception) -> str:
    words = _storable(str(error)).strip().partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _storable(words: str) -> str:
    """The words without what PostgreSQL's text cannot hold."""
    return words.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
