"""The figures of the performance report: all organizations from the hourly metrics, a subtree from its jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from conftest import Cast
from flags.reports.performance import size_in_words
from flags.tests.reports.periods import figures, key_figures, last_days, rows_of
from jobs.counting import hourly_metrics
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job
from jobs.operations import job_operations
from jobs.tests.engine_steps import KIND, changed, claimed, lease_of, make_due

pytestmark = pytest.mark.django_db
PERIOD = last_days(2)


def complete(job: Job, *, seconds: float = 2.0) -> None:
    Job.objects.filter(pk=job.pk).update(started_at=Now() - timedelta(seconds=seconds))
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))


def fail(job: Job, *, permanent: bool = False) -> None:
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=permanent)


def run_retry() -> None:
    make_due()
    again = claiming.claim(queue="default", worker="w")
    assert again is not None
    complete(again)


@pytest.fixture
def jobs(cast: Cast) -> None:
    """Of oslo: two that complete, one that a retry heals, one that fails for good. Of rival: one that fails."""
    for _ in range(2):
        complete(claimed(organization_id=cast.oslo.pk))
    fail(claimed(organization_id=cast.oslo.pk))
    run_retry()
    fail(claimed(organization_id=cast.oslo.pk), permanent=True)
    fail(claimed(organization_id=cast.rival.pk), permanent=True)


@pytest.mark.usefixtures("jobs")
def test_attempts_are_counted_by_kind_and_outcome(cast: Cast) -> None:
    (everything,) = rows_of(figures("performance", PERIOD), "kinds")
    (of_acme,) = rows_of(figures("performance", PERIOD, cast.acme.pk), "kinds")
    assert everything[:6] == (KIND, 6, 3, 1, 2, 0)
    assert of_acme[:6] == (KIND, 5, 3, 1, 1, 0)
    for row in (everything, of_acme):
        assert row[6] == pytest.approx(2, abs=0.5)
    assert of_acme[7] == pytest.approx(2, abs=0.5)
    assert 1 < everything[7] <= 2.5  # the bucket of 2 s


@pytest.mark.usefixtures("jobs")
def test_a_job_counts_once_whatever_its_retries(cast: Cast) -> None:
    for top, failed in ((None, 2), (cast.acme.pk, 1)):
        shown = key_figures(figures("performance", PERIOD, top))
        assert (shown["jobsCompleted"], shown["jobsFailed"]) == (3, failed)
        assert shown["successRate"] == 3 / (3 + failed)
        assert shown["retrySuccessRate"] == 1


@pytest.mark.usefixtures("jobs")
def test_a_failure_that_a_person_retries_counts_no_more(cast: Cast) -> None:
    failed = Job.objects.get(organization_id=cast.rival.pk)
    job_operations.retry(job_id=failed.pk, by="bob")
    for top, count in ((None, 1), (cast.rival.pk, 0)):
        assert key_figures(figures("performance", PERIOD, top))["jobsFailed"] == count


@pytest.mark.usefixtures("jobs")
def test_automatic_retries_are_counted_by_number(cast: Cast) -> None:
    for top in (None, cast.acme.pk):
        ((retry, ended, completed, rate, backoff),) = rows_of(figures("performance", PERIOD, top), "backoff")
        assert (retry, ended, completed, rate) == (1, 1, 1, 1)
        assert backoff is not None


@pytest.mark.usefixtures("jobs")
def test_attempts_stand_at_their_day(cast: Cast) -> None:
    for top in (None, cast.acme.pk):
        days = rows_of(figures("performance", PERIOD, top), "days")
        assert [row[0] for row in days] == PERIOD.days
        assert [row[1] for row in days] == [0, 3]


@pytest.mark.usefixtures("jobs")
def test_attempts_of_merged_days_are_in_the_report(cast: Cast) -> None:
    HourlyMetrics.objects.update(hour=Now() - timedelta(days=20))
    hourly_metrics.merge_old_hours()
    shown = key_figures(figures("performance", last_days(22)))
    assert shown["attempts"] == 6
    assert key_figures(figures("performance", PERIOD))["attempts"] == 0


def test_propagations_are_grouped_by_their_size(cast: Cast) -> None:
    for size, seconds in ((1, 1.0), (2, 2.0), (10, 4.0), (1_000_000, 9.0), (5_000_000, 30.0)):
        job = claimed(organization_id=cast.oslo.pk)
        complete(job, seconds=seconds)
        changed(job, kind="propagation", processed=size)
    for top in (None, cast.acme.pk):
        rows = rows_of(figures("performance", PERIOD, top), "propagations")
        shown = [(row[0], row[1], round(row[4])) for row in rows]
        assert shown == [("1", 1, 1), ("2 to 10", 2, 4), ("100,001 to 1,000,000", 1, 9), ("1,000,001 or more", 1, 30)]


def test_sizes_have_no_gaps() -> None:
    assert [size_in_words(place) for place in (1, 2, 3)] == ["1", "2 to 10", "11 to 100"]
