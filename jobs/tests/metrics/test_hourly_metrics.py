"""Each attempt is counted as it ends, with its times, in figures that outlive the jobs."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db.models import F, Sum
from django.db.models.functions import Now, TruncHour
from django.utils import timezone

from jobs.counting import hourly_metrics
from jobs.counting.hourly_metrics import BOUNDS
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle, rescuer
from jobs.engine.models import Job
from jobs.operations import job_operations
from jobs.tests.engine_steps import LONG_AGO, changed, claimed, lease_of, make_due, waiting

pytestmark = pytest.mark.django_db


def counted(*fields: str) -> dict[str, tuple[Any, ...]]:
    """By outcome: the sums of these columns."""
    sums = HourlyMetrics.objects.values_list("outcome").annotate(**{f"sum_{field}": Sum(field) for field in fields})
    return {outcome: tuple(found) for outcome, *found in sums}


def fail(job: Job, **more: Any) -> None:
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", **more)


def test_attempts_are_counted_by_how_they_end_and_chains_by_their_last() -> None:
    done = claimed()
    lifecycle.complete(job_id=done.pk, lease=lease_of(done))
    fail(claimed())
    fail(claimed(), permanent=True)
    job_operations.cancel(job_id=waiting().pk, by="bob")
    stopped = claimed()
    job_operations.cancel(job_id=stopped.pk, by="bob")
    lifecycle.stop(job_id=stopped.pk, lease=lease_of(stopped))
    changed(claimed(), lease_expires_at=LONG_AGO)
    rescuer.rescue_expired()
    assert counted("count", "chains", "rescued") == {
        "completed": (1, 1, 0),
        "retried": (2, 0, 1),
        "failed": (1, 1, 0),
        "cancelled": (2, 2, 0),
    }


def test_a_job_that_goes_back_to_its_queue_has_not_ended() -> None:
    job = claimed()
    lifecycle.release(job_id=job.pk, lease=lease_of(job))
    assert counted("count") == {}


def test_a_manual_retry_is_counted_when_it_is_asked_for() -> None:
    job = claimed()
    fail(job, permanent=True)
    job_operations.retry(job_id=job.pk, by="bob")
    assert counted("count", "chains")["manual_retry"] == (1, 0)


def test_an_end_that_a_manual_retry_takes_back_is_noted_in_its_hour_and_stays_counted() -> None:
    job = claimed()
    fail(job, permanent=True)
    three_days_ago = Now() - timedelta(days=3)
    Job.objects.update(completed_at=three_days_ago)
    HourlyMetrics.objects.update(hour=TruncHour(three_days_ago))
    job_operations.retry(job_id=job.pk, by="bob")
    assert counted("count", "chains", "reopened")["failed"] == (1, 1, 1)
    assert HourlyMetrics.objects.get(outcome="failed").reopened == 1
    hourly_metrics.merge_old_hours()
    assert counted("count", "chains", "reopened")["failed"] == (1, 1, 1)


def test_old_hours_become_days_and_old_days_become_months_with_the_same_sums() -> None:
    for _ in range(4):
        fail(claimed(), permanent=True)
    midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    row = HourlyMetrics.objects.get()
    HourlyMetrics.objects.all().delete()
    for age, hour in ((5, 7), (5, 23), (70, 1), (130, 2), (0, 0)):
        row.pk, row.hour, row.shard = None, midnight - timedelta(days=age) + timedelta(hours=hour), 3
        row.save()
    hourly_metrics.merge_old_hours()
    hourly_metrics.merge_old_hours()
    months = {(midnight - timedelta(days=age)).replace(day=1): 4 for age in (70, 130)}
    expected = months | {midnight: 4, midnight - timedelta(days=5): 8}
    assert dict(HourlyMetrics.objects.values_list("hour", "count")) == expected
    assert {row.hour: sum(row.processing_buckets) for row in HourlyMetrics.objects.all()} == expected


def test_organizations_are_added_up() -> None:
    for processed in (5, 7):
        job = claimed()
        with_progress(job, processed=processed, failed=1, superseded=2)
        lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    sums = counted("organizations", "failed_organizations", "superseded_organizations")
    assert sums == {"completed": (12, 2, 4)}


def with_progress(job: Job, **counts: int) -> None:
    lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), **counts)


def test_times_are_added_up_and_sorted_into_buckets() -> None:
    """Waited 3 s, ran for 20 s; the chain began 100 s before its end."""
    first = claimed()
    fail(first)
    make_due()
    again = claiming.claim(queue=first.queue, worker="w")
    assert again is not None
    Job.objects.filter(pk=first.pk).update(created_at=Now() - timedelta(seconds=100))
    Job.objects.filter(pk=again.pk).update(started_at=Now() - timedelta(seconds=20))
    Job.objects.filter(pk=again.pk).update(run_at=F("started_at") - timedelta(seconds=3))
    lifecycle.complete(job_id=again.pk, lease=lease_of(again))
    tally = HourlyMetrics.objects.get(outcome="completed")
    assert tally.waiting_seconds == pytest.approx(3)
    assert tally.processing_seconds == pytest.approx(20, abs=1)
    assert tally.chain_seconds == pytest.approx(100, abs=1)
    for buckets, seconds in ((tally.waiting_buckets, 3), (tally.processing_buckets, 20), (tally.chain_buckets, 100)):
        place = sum(bound <= seconds for bound in BOUNDS)
        assert buckets == [int(number == place) for number in range(len(BOUNDS) + 1)]


def test_an_attempt_that_does_not_end_the_chain_has_no_chain_time() -> None:
    fail(claimed())
    tally = HourlyMetrics.objects.get(outcome="retried")
    assert (tally.chain_seconds, sum(tally.chain_buckets), sum(tally.processing_buckets)) == (0, 0, 1)


def test_what_was_refused_is_not_counted() -> None:
    job = claimed()
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    before = counted("count")
    with pytest.raises(lifecycle.LeaseLost):
        lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    assert counted("count") == before
