"""Handle a wake-up in a worker: claim due jobs, run them, and record their ends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError

from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.storable_text import storable
from jobs.engine import claiming, finishing, lifecycle, stop_request, tracing, transitions, wakeup, worker_registry
from jobs.engine.claiming import Claim
from jobs.engine.finishing import Following
from jobs.engine.kinds import kind_named
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import (
    AttemptTimedOut,
    CancelRequested,
    LeaseLost,
    NothingLeftToDo,
    PermanentFailure,
    StopRequested,
    UnknownKind,
)

log = structlog.get_logger(__name__)
RUN_SECONDS = 1.0
"""How long a worker goes on with the jobs of one queue before it looks at its other messages."""
RECORD_TIMEOUT_SECONDS = 30.0
"""How long a worker tries to record the end of a job while the database does not answer."""
MAX_PAUSE_SECONDS = 5.0
"""Longest pause between two of these tries."""


def run_due(queue: str) -> list[Job]:
    """Run due jobs of `queue`, one after the other, for RUN_SECONDS at most; then send a wake-up if more are due.

    So short jobs need no message each, and long queues do not keep a worker from its other queues. The transaction that
    ends a job claims the next one, where possible. Returns the jobs as they were when the worker claimed them.
    """
    end_at = time.monotonic() + RUN_SECONDS
    ran: list[Job] = []
    job = _claim(queue)
    while job is not None:
        ran.append(job)
        following = run_claimed(job, next_claim=partial(_next_claim, queue, end_at))
        if following.is_known:
            job = following.job
        elif time.monotonic() > end_at:
            wake_for_the_rest(queue)
            break
        else:
            job = _claim(queue)
    return ran


def run_next(queue: str) -> Job | None:
    """Run the next due job of `queue`, and send a wake-up if more jobs are due.

    Returns the job as it was when the worker claimed it, or None if no job may start now.
    """
    job = run_one(queue)
    if job is not None:
        wake_for_the_rest(queue)
    return job


def run_one(queue: str) -> Job | None:
    """Run the next due job of `queue`. Returns it as it was when it was claimed, or None if no job may start now."""
    job = _claim(queue)
    if job is not None:
        run_claimed(job)
    return job


def _claim(queue: str) -> Job | None:
    if stop_request.is_requested():
        wakeup.wake(queue)  # another worker has to handle this wake-up
        return None
    return claiming.claim(queue=queue, worker=worker_registry.process_name())


def _next_claim(queue: str, end_at: float) -> Claim | None:
    """Return the claim that the end of a job makes; None if the worker has to look at other messages, or to stop."""
    if stop_request.is_requested() or time.monotonic() > end_at:
        return None
    return Claim(queue=queue, worker=worker_registry.process_name())


def wake_for_the_rest(queue: str) -> None:
    """Send a wake-up if more jobs of `queue` are due."""
    if Job.objects.due().filter(queue=queue).exists():
        wakeup.wake(queue)


def run_claimed(
    job: Job, *, end_at: float | None = None, next_claim: Callable[[], Claim | None] = lambda: None
) -> Following:
    """Do the work of a claimed job and record its end, whatever the end is.

    After `end_at`, by the monotonic clock, the work stops at its next check, and another worker continues it. At the
    end of the work, `next_claim` gives the claim for the job that follows. Returns that job, if the end has claimed it.

    The actor of the work is the system. The person who requested the job is in `job.requested_by`.
    """
    with (
        actor.acting("worker", actor=actor.SYSTEM, correlation_id=job.correlation_id),
        structlog.contextvars.bound_contextvars(jobId=job.pk),
    ):
        fields = transitions.log_fields(job) | {"isRetry": job.parent_job_id is not None, "worker": job.worker}
        log.info("job_started", **fields, kind=job.kind, attempt=job.round_attempt + 1)
        with tracing.span(f"job {job.kind}", job.trace_context, _attributes(job)):
            try:
                with Run(job, end_at=end_at) as run:
                    return _end(run, _work(run), next_claim())
            except LeaseLost:
                _log_lost(job)
    return finishing.UNKNOWN


def _log_lost(job: Job) -> None:
    log.warning("job_lease_lost", organizationId=job.organization_id)


def _end(run: Run, ending: Ending, claim: Claim | None) -> Following:
    """Record the end of a job, together with the claim of the next one if that is possible. Raises LeaseLost.

    If the answer of the database was lost, the end and the claim may be made or not. So the end is recorded by itself,
    which does nothing if it was made, and the worker looks for the job that it may have claimed. An end that the
    database refuses is recorded by itself too, because it becomes a failure.
    """
    is_ended, following, is_claim_lost = False, finishing.UNKNOWN, False
    if ending.is_done and finishing.may_end_at_once(run):
        try:
            is_ended, following = finishing.end_at_once(run, claim)
        except (DatabaseError, InterfaceError) as error:
            if transient_errors.is_transient(error):
                log.warning("database_away", error=str(error))
                transient_errors.reconnect()
                is_claim_lost = claim is not None
    if not is_ended:
        try:
            _record(run, ending.record)
        except LeaseLost:
            _log_lost(run.job)
    if claim is not None and is_claim_lost and (job := claiming.held(claim)) is not None:
        return Following(is_known=True, job=job)
    return following


def _attributes(job: Job) -> dict[str, Any]:
    """Return the attributes of the job's span in a trace."""
    return {
        "flagsite.job_id": job.pk,
        "flagsite.root_job_id": job.root_id,
        "flagsite.organization_id": job.organization_id,
        "flagsite.queue": job.queue,
        "flagsite.attempt": job.round_attempt + 1,
        "flagsite.correlation_id": job.correlation_id,
    }


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work of an attempt has ended."""

    record: Callable[[], object]
    """Records the end. Safe to repeat; raises LeaseLost."""
    is_done: bool = False
    """Whether the work is done, so that the attempt may end at once."""


def _work(run: Run) -> Ending:
    """Do the work, and return how it has ended. Raises LeaseLost."""
    job_id, lease = run.job.pk, run.lease
    try:
        kind_named(run.job.kind).work(run)
    except LeaseLost:
        raise
    except StopRequested:
        return Ending(partial(lifecycle.release, job_id=job_id, lease=lease))
    except CancelRequested:
        return Ending(partial(lifecycle.stop, job_id=job_id, lease=lease))
    except NothingLeftToDo as gone:
        return Ending(partial(lifecycle.complete, message=storable(gone.detail), **_product(run)))
    except AttemptTimedOut as error:
        return Ending(partial(lifecycle.fail, job_id=job_id, lease=lease, error=storable(error.detail)))
    except (PermanentFailure, UnknownKind) as error:
        fail = partial(lifecycle.fail, job_id=job_id, lease=lease, permanent=True)
        return Ending(partial(fail, error=storable(error.detail), artifacts=run.artifacts))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the job's error
        trace = storable(traceback.format_exc())
        return Ending(partial(lifecycle.fail, job_id=job_id, lease=lease, error=_summary(error), traceback=trace))
    return Ending(partial(lifecycle.finish, **_product(run)), is_done=True)


def _product(run: Run) -> dict[str, Any]:
    """Return the attempt and what its work has produced, as arguments of the functions that end it."""
    return {"job_id": run.job.pk, "lease": run.lease, "result": run.result, "artifacts": run.artifacts}


def _record(run: Run, record_end: Callable[[], object]) -> None:
    """Record the end of the attempt. If the database refuses what the work has produced, the attempt fails.

    Without that, the job would seem to run until its lease expires, once for each retry. Raises LeaseLost.
    """
    try:
        _persist(record_end)
    except LeaseLost:
        raise
    except Exception as error:
        if transient_errors.is_transient(error):
            raise
        trace = storable(traceback.format_exc())
        _persist(partial(
            lifecycle.fail, job_id=run.job.pk, lease=run.lease, error=_summary(error), traceback=trace
        ))  # fmt: skip


def _persist(record_end: Callable[[], object]) -> None:
    """Record the end of a job. Try again for RECORD_TIMEOUT_SECONDS while the database does not answer."""
    transient_errors.retry_transient_errors(
        record_end, timeout_seconds=RECORD_TIMEOUT_SECONDS, max_pause_seconds=MAX_PAUSE_SECONDS
    )


def _summary(error: Exception) -> str:
    """Return the name of the error's class and the first line of its message."""
    message = storable(str(error)).strip().partition("\n")[0]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
