"""The Celery tasks of the engine. Each task is one call of a plain function."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import InterfaceError, OperationalError

from jobs.engine import rescuer, runner
from jobs.engine.models import Job
from jobs.metrics import probe_job
from jobs.notifications import telling
from jobs.operations import bulk_job, cleanup, enqueue  # noqa: F401 - importing bulk_job registers its kind of job

DATABASE_AWAY = (OperationalError, InterfaceError)


@shared_task(name="jobs.work", autoretry_for=DATABASE_AWAY, retry_backoff=2, retry_backoff_max=30, max_retries=5)
def work(queue: str) -> str | None:
    """Run the due jobs of `queue`. This task handles a wake-up.

    The answer names what ran, for people who watch Celery's events. Nothing stores it.
    """
    jobs = runner.run_due(queue)
    if not jobs:
        return None
    rest = f", and {len(jobs) - 1} more" if jobs[1:] else ""
    return f"job {jobs[0].pk}, {jobs[0].kind}{rest}"


@shared_task(name="jobs.sweep")
def rescue() -> None:
    """Run the rescuer. Celery beat starts this task every JOB_SWEEP_SECONDS."""
    rescuer.rescue_and_wake()


@shared_task(name="jobs.clean_up", autoretry_for=DATABASE_AWAY, retry_backoff=2, retry_backoff_max=600, max_retries=20)
def clean_up() -> None:
    """Create the job that deletes old jobs. Celery beat does this every day."""
    cleanup.request(by="schedule")


@shared_task(name="jobs.enqueue", autoretry_for=DATABASE_AWAY, retry_backoff=2, retry_backoff_max=600, max_retries=20)
def enqueue_job(
    kind: str, arguments: dict[str, Any] | None = None, organization_id: int | None = None, queue: str = ""
) -> None:
    """Enqueue a job of any kind. A periodic task names the kind and its arguments in its keyword arguments."""
    enqueue.enqueue(
        kind=kind, queue=queue, arguments=arguments, organization_id=organization_id, trigger=Job.Trigger.SCHEDULE
    )


@shared_task(name="jobs.tell_events")
def tell_events() -> None:
    """Make deliveries of the recorded events. The workers do so every few seconds by themselves."""
    telling.tell_events()


@shared_task(name="jobs.send_canary")
def send_probe() -> None:
    """Create a probe job. Celery beat does this every minute."""
    probe_job.send_probe()
