"""The shells through which Celery reaches the engine; each holds one call."""

from __future__ import annotations

from celery import shared_task
from django.db import InterfaceError, OperationalError

from jobs.engine import rescuer, runner
from jobs.metrics import probe_job
from jobs.operations import bulk_job, cleanup  # noqa: F401 - some register what they do, and no more

DATABASE_AWAY = (OperationalError, InterfaceError)


@shared_task(name="jobs.work", autoretry_for=DATABASE_AWAY, retry_backoff=2, retry_backoff_max=30, max_retries=5)
def work(queue: str) -> None:
    """Run the next due job of `queue`. Waking up to no work is not an error."""
    runner.run_next(queue)


@shared_task(name="jobs.sweep")
def rescue() -> None:
    """Run the rescuer; beat asks for it every JOB_SWEEP_SECONDS."""
    rescuer.rescue_and_wake()


@shared_task(name="jobs.clean_up", autoretry_for=DATABASE_AWAY, retry_backoff=2, retry_backoff_max=600, max_retries=20)
def clean_up() -> None:
    """Have old jobs deleted; beat asks for it each day, by writing the job itself."""
    cleanup.request(by="schedule")


@shared_task(name="jobs.send_canary")
def send_probe() -> None:
    """Send a probe job; beat asks for it each minute, by writing the job itself."""
    probe_job.send_probe()
