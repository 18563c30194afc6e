"""Without broker and workers (JOBS_INLINE) jobs run where they are asked for, with the same records."""

from __future__ import annotations

import pytest
from django.test import override_settings
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs.models import Job
from jobs.run import Run
from jobs.tests.engine import KIND, LONG_AGO, doing, statuses, waiting

INLINE = override_settings(JOBS_INLINE=True)


@pytest.mark.django_db
@INLINE
def test_a_job_runs_right_after_the_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        job = waiting()
        assert statuses(job) == ["PENDING"]
    job.refresh_from_db()
    assert (job.status, job.claims) == ("COMPLETED", 1)


@pytest.mark.django_db
@INLINE
def test_a_failure_is_recorded_and_does_not_reach_the_caller(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def work(run: Run) -> None:
        raise ValueError("no luck")

    with doing(work), django_capture_on_commit_callbacks(execute=True):
        job = waiting()
    assert statuses(job) == ["RETRYING", "PENDING"]


@pytest.mark.django_db(transaction=True)
def test_many_jobs_that_wait_run_one_after_another() -> None:
    """Many, say after a pause: each must not be called by the one before."""
    jobs = Job.objects.bulk_create(
        Job(kind=KIND, queue="default", organization_id=1, run_at=LONG_AGO) for _ in range(40)
    )
    with INLINE:
        waiting()
    assert set(Job.objects.values_list("status", flat=True)) == {"COMPLETED"}
    assert set(Job.objects.values_list("claims", flat=True)) == {1}
    assert Job.objects.count() == len(jobs) + 1
