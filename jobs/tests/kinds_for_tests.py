"""Kinds of jobs that tests of the engine run: one that does what the test says, in two chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from jobs import lifecycle
from jobs.kinds import job_kind
from jobs.models import Job
from jobs.run import Run

KIND, QUEUE = "test-of-the-engine", "default"
between_chunks: list[Callable[[Run], None]] = []
"""What happens between the first and the second chunk; a test fills and empties it."""


@job_kind(KIND, queue=QUEUE)
def two_chunks(run: Run) -> None:
    """Count two organizations, one in each chunk; goes on at the checkpoint."""
    for chunk in range(int((run.job.checkpoint or {}).get("done", 0)), 2):
        run.check()
        with transaction.atomic():
            run.record_progress(total=2, processed=1, checkpoint={"done": chunk + 1})
        if chunk == 0:
            for happen in between_chunks:
                happen(run)


def create(organization_id: int = 1, **more: Any) -> Job:
    """A job that waits."""
    return lifecycle.create(kind=KIND, organization_id=organization_id, **more)


def claim(worker: str = "worker") -> Job:
    """The next job, claimed."""
    job = lifecycle.claim(queue=QUEUE, worker=worker)
    assert job is not None
    assert job.lease_token is not None
    return job


def lease(job: Job) -> dict[str, Any]:
    """What names a claim to the functions of the lifecycle."""
    return {"job_id": job.pk, "lease": job.lease_token}


def chain(job: Job) -> list[Job]:
    """Every attempt, oldest first."""
    return list(Job.objects.of_chain(job.root_id))


def statuses(job: Job) -> list[str]:
    """The status of every attempt, oldest first."""
    return [attempt.status for attempt in chain(job)]


def let_lease_expire(job: Job) -> None:
    """As if the worker had been silent for too long."""
    Job.objects.filter(pk=job.pk).update(lease_expires_at="2000-01-01T00:00:00Z")


def make_due(job: Job) -> None:
    """As if the wait were over."""
    Job.objects.filter(pk=job.pk).update(run_at="2000-01-01T00:00:00Z")
