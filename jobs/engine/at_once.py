"""Run one certain job at once in this process, past its queue, as a gate of the queue may demand.

The steps are the same as in a worker, so the job keeps its row, its attempts and its limits. What does not end within
LONGEST_SECONDS goes on in a worker.
"""

from __future__ import annotations

import time

import structlog
from django.utils import timezone

from flagsite.core import actor
from jobs.engine import claiming, runner, wakeup, worker_registry
from jobs.engine.models import Job
from jobs.engine.states import Status

log = structlog.get_logger(__name__)
LONGEST_SECONDS = 30.0
PREFIX = "inline "
"""The beginning of the name of the worker, on jobs that ran at once."""


def run_at_once(job_id: int) -> None:
    """Run the job, and those of its retries that are due soon enough.

    A job that may not start now, because its queue is paused or full, waits for a worker. After LONGEST_SECONDS, the
    work stops at its next check, and a worker continues it. Errors are logged, because the transaction that created
    the job is already committed.
    """
    end_at = time.monotonic() + LONGEST_SECONDS
    try:
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):
            queue = _run_chain(job_id, end_at)
            if queue is not None:
                wakeup.wake(queue)
    except Exception:  # a worker finds the job
        log.exception("inline_run_failed", jobId=job_id)


def _run_chain(job_id: int, end_at: float) -> str | None:
    """Run the attempts of the chain. Returns the queue in which one is left for a worker, or None."""
    latest = Job.objects.get(pk=job_id)
    while latest.status == Status.PENDING:
        wait = max(0.0, (latest.run_at - timezone.now()).total_seconds())
        if time.monotonic() + wait >= end_at:
            return latest.queue
        time.sleep(wait)
        worker = f"{PREFIX}{worker_registry.process_name()}"
        job = claiming.claim(queue=latest.queue, worker=worker, job_id=latest.pk)
        if job is None:
            return latest.queue
        runner.run_claimed(job, end_at=end_at)
        latest = Job.objects.of_chain(latest.root_id).reverse()[0]
    return None
