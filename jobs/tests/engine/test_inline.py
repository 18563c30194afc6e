"""Without broker and workers (JOBS_INLINE) jobs run where they are asked for, with the same records."""

from __future__ import annotations

import pytest
from django.test import override_settings
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs.engine import inline
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.tests.engine_steps import KIND, LONG_AGO, claimed, doing, endings, make_due, statuses, waiting

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

    Queue.objects.update(max_retries=0)
    with doing(work), django_capture_on_commit_callbacks(execute=True):
        job = waiting()
    assert statuses(job) == ["FAILED"]


@pytest.fixture
def short_backoff(db: None) -> None:
    """The first retry waits 0.3 seconds: longer than the run takes to end."""
    Queue.objects.update(backoff_base=0.3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("short_backoff")
@INLINE
def test_a_job_that_fails_is_retried_to_the_end_of_its_chain() -> None:
    """In a request, say: when it is answered nothing of the chain is open any more."""

    def work(run: Run) -> None:
        raise ValueError("no luck")

    with doing(work):
        job = waiting()
    assert statuses(job) == ["FAILED"] * 4
    ended = Job.objects.of_chain(job.pk).values_list("round_attempt", "trigger", "claims")
    assert list(ended) == [(0, "request", 1), (1, "automatic", 1), (2, "automatic", 1), (3, "automatic", 1)]


@pytest.mark.django_db(transaction=True)
@INLINE
def test_what_a_call_does_not_wait_for_goes_on_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [True]

    def work(run: Run) -> None:
        if failing:
            failing.pop()
            raise ValueError("no luck")

    with monkeypatch.context() as patch, doing(work):
        patch.setattr(inline, "MAX_WAIT_SECONDS", 0.0)
        job = waiting()
    assert statuses(job) == ["RETRYING", "PENDING"]
    make_due()
    waiting()
    assert endings(job) == ["FAILED", "COMPLETED"]


@pytest.mark.django_db(transaction=True)
@INLINE
def test_a_job_whose_process_was_killed_goes_on_with_the_next() -> None:
    with override_settings(JOBS_INLINE=False):
        job = claimed(lease_expires_at=LONG_AGO)
    waiting()
    assert endings(job) == ["FAILED", "COMPLETED"]


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
