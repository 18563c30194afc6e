"""What a clean-up forgets, and what it keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.utils import timezone

from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job, JobFailure
from jobs.engine.run import Run
from jobs.engine.states import Status
from jobs.operations import cleanup, job_operations
from jobs.tests.engine_steps import before_each, by_hand, waiting
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


def ended(status: str, days: float, **columns: Any) -> Job:
    """A job that ended so many days ago, after an hour."""
    end = timezone.now() - timedelta(days=days)
    return by_hand(status, created_at=end - timedelta(hours=1), completed_at=end, **columns)


def chain(*statuses: str, days: float) -> Job:
    """A chain whose last attempt ended so many days ago, each a day after the one before it; returns the first."""
    first, *others = statuses
    root = ended(first, days + len(others), retry_count=len(others))
    for number, status in enumerate(others, 1):
        ended(status, days + len(others) - number, parent_job=root, retry_count=number)
    return root


def clean_up() -> Job:
    """Run a clean-up to its end; returns its job."""
    job = cleanup.request(by="alice")
    assert runner.run_next("cleanup") is not None
    job.refresh_from_db()
    return job


def kept() -> set[int]:
    return set(Job.objects.exclude(kind=cleanup.KIND).values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("status", "days", "stays"),
    [
        (Status.COMPLETED, 29.9, True), (Status.COMPLETED, 30.1, False),
        (Status.CANCELLED, 29.9, True), (Status.CANCELLED, 30.1, False),
        (Status.FAILED, 6.9, True), (Status.FAILED, 7.1, False),
    ],
)  # fmt: skip
def test_a_job_goes_when_its_days_are_over(status: str, days: float, stays: bool) -> None:
    job = ended(status, days)
    assert cleanup.old_jobs().chains == (0 if stays else 1)
    assert clean_up().status == Status.COMPLETED
    assert kept() == ({job.pk} if stays else set())


def test_a_failed_chain_goes_as_a_whole_days_after_its_end_and_not_before() -> None:
    young, old = chain("FAILED", "FAILED", "FAILED", days=6), chain("FAILED", "FAILED", "FAILED", days=8)
    clean_up()
    assert set(Job.objects.of_chain(young.pk).values_list("status", flat=True)) == {Status.FAILED}
    assert Job.objects.of_chain(young.pk).count() == 3
    assert not Job.objects.of_chain(old.pk).exists()


def test_a_chain_stays_as_long_as_its_end_says_however_its_first_job_ended() -> None:
    completed_at_last = chain("FAILED", "COMPLETED", days=20)
    failed_at_last = chain("COMPLETED", "FAILED", days=20)
    clean_up()
    assert Job.objects.of_chain(completed_at_last.pk).count() == 2
    assert not Job.objects.of_chain(failed_at_last.pk).exists()


@pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS])
def test_nothing_of_a_chain_goes_while_an_attempt_is_open(status: str) -> None:
    long_ago = timezone.now() - timedelta(days=400)
    root = ended(Status.RETRYING, 400, retry_count=1)
    by_hand(status, parent_job=root, retry_count=1, created_at=long_ago, run_at=timezone.now() + timedelta(days=1))
    open_one = by_hand(status, created_at=long_ago, run_at=timezone.now() + timedelta(days=1))
    clean_up()
    assert kept() >= {root.pk, open_one.pk}
    assert Job.objects.of_chain(root.pk).count() == 2


def test_a_chain_that_somebody_is_just_retrying_stays() -> None:
    job = ended(Status.FAILED, 100)
    retried = job_operations.retry(job_id=job.pk, by="alice")
    clean_up_job = cleanup.request()
    claiming.claim(queue="default", worker="w")  # the retry, which is first in line
    assert runner.run_next("cleanup") is not None
    assert kept() == {job.pk, retried.pk}
    clean_up_job.refresh_from_db()
    assert clean_up_job.status == Status.COMPLETED


def test_the_organizations_that_failed_in_a_job_go_with_it() -> None:
    old, young = ended(Status.FAILED, 8), ended(Status.FAILED, 1)
    for job in (old, young):
        JobFailure.objects.create(job=job, organization_id=1, error="broken")
    clean_up()
    assert list(JobFailure.objects.values_list("job_id", flat=True)) == [young.pk]


def test_the_days_are_settings(settings: Any) -> None:
    settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS = 2, 50
    completed, failed = ended(Status.COMPLETED, 3), ended(Status.FAILED, 40)
    clean_up()
    assert kept() == {failed.pk}
    assert completed.pk not in kept()


def test_a_report_is_left_in_audit_log_log_and_on_the_job() -> None:
    chain("FAILED", "FAILED", days=8)
    ended(Status.COMPLETED, 31)
    with structlog.testing.capture_logs() as lines:
        job = clean_up()
    entry = AuditEntry.objects.get(action="jobs.cleaned")
    assert (entry.subject, entry.actor) == (f"job:{job.pk}", "alice")
    assert entry.details == {"deleted": {"FAILED": 2, "COMPLETED": 1}, "finished": True}
    assert [line["deleted"] for line in lines if line["event"] == "old_jobs_deleted"] == [entry.details["deleted"]]
    assert job.processed == 3


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of a clean-up looks at two chains."""
    monkeypatch.setattr(cleanup, "BATCH_SIZE", 2)


@pytest.mark.usefixtures("two_at_once")
def test_it_goes_in_short_transactions_and_ends_where_somebody_cancels_it() -> None:
    for _ in range(6):
        ended(Status.COMPLETED, 31)
    job = cleanup.request(by="alice")

    def cancel(run: Run) -> None:
        if run.job.checkpoint["deleted"]["COMPLETED"] == 2:
            job_operations.cancel(job_id=job.pk, by="bob")

    with before_each("check", cancel):
        runner.run_next("cleanup")
    job.refresh_from_db()
    assert (job.status, job.processed) == (Status.CANCELLED, 4)  # the cancel is seen with the next progress
    assert len(kept()) == 2
    assert AuditEntry.objects.get(action="jobs.cleaned").details == {"deleted": {"COMPLETED": 4}, "finished": False}


@pytest.mark.usefixtures("two_at_once")
def test_it_goes_on_after_a_crash() -> None:
    for _ in range(6):
        ended(Status.COMPLETED, 31)
    job = cleanup.request(by="alice")

    def die(run: Run) -> None:
        raise SystemExit

    with before_each("check", die), pytest.raises(SystemExit):
        runner.run_next("cleanup")
    assert len(kept()) == 4
    Job.objects.filter(pk=job.pk).update(lease_expires_at="2000-01-01T00:00:00Z")
    retry = lifecycle.rescue(job_id=job.pk)
    assert retry is not None
    runner.run_next("cleanup")
    assert kept() == set()
    retry.refresh_from_db()
    assert (retry.status, retry.processed) == (Status.COMPLETED, 4)


def test_of_two_that_ask_the_second_gets_the_job_that_is_at_it() -> None:
    assert cleanup.request(by="alice").pk == cleanup.request(by="bob").pk


def test_it_does_not_forget_itself_nor_what_is_too_young_behind_old_ones() -> None:
    ended(Status.COMPLETED, 31)
    young = waiting(run_at=timezone.now() + timedelta(days=1))
    first = clean_up()
    second = clean_up()
    assert Job.objects.filter(pk__in=[first.pk, second.pk]).count() == 2
    assert kept() == {young.pk}
