"""The figures of the front page, from jobs that really ended so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from conftest import Cast
from jobs.counting.hourly_metrics import BOUNDS
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job
from jobs.metrics import statistics
from jobs.metrics.statistics import Duration, percentile_of
from jobs.metrics.subtree_statistics import statistics_of
from jobs.operations import cleanup, job_operations
from jobs.templatetags.job_formats import capped, duration, percent
from jobs.tests.engine_steps import by_hand, changed, claimed, lease_of, make_due, waiting
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def completed(job: Job) -> Job:
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    return job


def failed(job: Job, *, for_good: bool = True) -> Job:
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=for_good)
    return job


def next_attempt() -> Job:
    make_due()
    found = claiming.claim(queue="default", worker="worker")
    assert found is not None
    return found


def a_day_of_work(organization: Organization | None = None) -> None:
    """Two jobs that succeed at once, one at its first retry, one that fails and then fails a person's retry too."""
    where = {"organization_id": organization.pk} if organization else {}
    completed(claimed(**where))
    completed(claimed(**where))
    failed(claimed(**where), for_good=False)
    completed(next_attempt())
    job_operations.retry(job_id=failed(claimed(**where)).pk, by="user:bob")
    failed(next_attempt())


def test_the_rates_of_a_day() -> None:
    a_day_of_work()
    day = statistics.last_day()
    counts = statistics.counts_by_status()
    assert (counts["COMPLETED"], counts["FAILED"]) == (day.jobs_completed, day.jobs_failed) == (3, 1)
    assert day.success_rate == 3 / 4
    assert day.retry_success_rate == 1 / 2
    assert day.retries_per_job == 2 / 4
    assert day.manual_share == 1 / 2
    last = day.hours[-1]
    assert (last.completed, last.failed, last.retried, last.cancelled, last.total) == (3, 2, 1, 0, 6)
    assert len(day.hours) == 24
    assert day.hours[0].total == 0


def test_a_job_that_a_person_retries_ends_once_however_it_ended_before() -> None:
    first = failed(claimed())
    assert statistics.last_day().jobs_failed == 1
    job_operations.retry(job_id=first.pk, by="user:bob")
    day = statistics.last_day()
    assert (day.jobs_completed, day.jobs_failed, day.success_rate) == (0, 0, None)
    again = changed(next_attempt(), failed=2, processed=1)
    completed(again)
    job_operations.retry(job_id=first.pk, by="user:bob")
    completed(next_attempt())
    day = statistics.last_day()
    assert (day.jobs_completed, day.jobs_failed, day.success_rate) == (1, 0, 1)


def test_an_end_before_this_day_is_not_taken_back_from_it() -> None:
    first = failed(claimed())
    long_ago = timedelta(days=2)
    Job.objects.update(completed_at=F("completed_at") - long_ago)
    HourlyMetrics.objects.update(hour=F("hour") - long_ago)
    job_operations.retry(job_id=first.pk, by="user:bob")
    completed(next_attempt())
    day = statistics.last_day()
    assert (day.jobs_completed, day.jobs_failed) == (1, 0)


def test_a_day_without_jobs_has_no_rates() -> None:
    day = statistics.last_day()
    assert [day.success_rate, day.retry_success_rate, day.retries_per_job, day.manual_share] == [None] * 4
    assert (day.average, day.percentile) == (None, None)


def test_what_was_cleaned_up_still_counts_and_what_is_older_than_a_day_does_not() -> None:
    completed(claimed())
    Job.objects.all().delete()
    assert statistics.last_day().jobs_completed == 1
    HourlyMetrics.objects.update(hour=F("hour") - timedelta(hours=24))
    assert statistics.last_day().jobs_completed == 0


def test_the_time_to_complete_is_that_of_the_whole_chain() -> None:
    failed(claimed(), for_good=False)
    Job.objects.update(created_at=timezone.now() - timedelta(seconds=100))
    completed(next_attempt())
    day = statistics.last_day()
    assert day.average is not None
    assert day.percentile is not None
    assert 100 <= day.average.seconds < 110
    assert 60 < day.percentile.seconds <= 300


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, None),
        ({1: 100}, Duration(0.05 + 0.05 * 0.95)),
        ({0: 50, 5: 50}, Duration(1.0 + 1.5 * 0.9)),
        ({0: 95, 13: 5}, Duration(0.05)),
        ({0: 94, 13: 6}, Duration(3600.0, or_more=True)),
    ],
)
def test_the_percentile_lies_in_the_bucket_where_the_share_is_reached(
    counts: dict[int, int], expected: Duration | None
) -> None:
    found = percentile_of([counts.get(place, 0) for place in range(len(BOUNDS) + 1)], 0.95)
    assert (found is None) == (expected is None)
    if found and expected:
        assert found.seconds == pytest.approx(expected.seconds)
        assert found.or_more == expected.or_more


def test_jobs_are_counted_by_status_up_to_a_point() -> None:
    for status, count in (("PENDING", 1), ("IN_PROGRESS", 2), ("COMPLETED", 4)):
        for _ in range(count):
            by_hand(status)
    counts = statistics.counts_by_status(at_most=2)
    assert counts == {"PENDING": 1, "IN_PROGRESS": 2, "COMPLETED": 3, "FAILED": 0, "RETRYING": 0, "CANCELLED": 0}


def test_who_is_bound_sees_the_same_figures_of_their_own_jobs(cast: Cast) -> None:
    a_day_of_work(cast.oslo)
    a_day_of_work(cast.rival)
    changed(waiting(), organization_id=cast.rome.pk)
    of_north = statistics_of(Caller("user:nora", Role.READER, cast.north.pk))
    assert of_north.counts == {
        "PENDING": 0, "IN_PROGRESS": 0, "COMPLETED": 3, "FAILED": 1, "RETRYING": 0, "CANCELLED": 0
    }  # fmt: skip
    day = of_north.day
    assert (day.jobs_completed, day.jobs_failed, day.automatic_retries, day.manual_retries) == (3, 1, 1, 1)
    assert (day.retries_completed, day.retries_ended, day.hours[-1].completed) == (1, 2, 3)
    assert day.average is not None
    assert day.percentile is not None
    of_rome = statistics_of(Caller("user:rita", Role.READER, cast.rome.pk))
    assert (of_rome.counts["PENDING"], of_rome.day.percentile) == (1, None)


def test_cleaning_up_leaves_the_rates_as_they_are() -> None:
    a_day_of_work()
    before = statistics.last_day()
    Job.objects.update(created_at=timezone.now() - timedelta(days=90), completed_at=timezone.now() - timedelta(days=90))
    assert cleanup.old_jobs().chains == 4
    request = cleanup.request(by="test")
    runner.run_next(request.queue)
    assert list(Job.objects.values_list("pk", "status")) == [(request.pk, "COMPLETED")]
    after = statistics.last_day()
    assert (after.jobs_completed, after.jobs_failed, after.retries) == (before.jobs_completed + 1, 1, before.retries)


def test_figures_are_written_for_people() -> None:
    assert [duration(seconds) for seconds in (None, 0.2, 4.25, 12, 75, 3600, 90_000)] == [
        "–", "0.20 s", "4.2 s", "12 s", "1 min 15 s", "1 h", "1 d 1 h"
    ]  # fmt: skip
    assert duration(Duration(3600, or_more=True)) == "over 1 h"
    assert duration(timedelta(seconds=-3)) == "0.00 s"
    assert [capped(count) for count in (0, 10_000, 10_001)] == ["0", "10,000", "more than 10,000"]
    assert [percent(share) for share in (None, 0, 0.5, 0.123, 0.99999, 1)] == [
        "–", "0%", "50%", "12.3%", "over 99.9%", "100%"
    ]  # fmt: skip
