"""What follows when an attempt fails: three retries after 2, 4 and 8 seconds, then the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.engine import backoff, claiming, lifecycle
from jobs.engine.chains import chain_of
from jobs.engine.models import Job, Queue
from jobs.engine.states import Status
from jobs.tests.engine_steps import (
    LONG_AGO,
    QUEUE,
    by_hand,
    changed,
    claimed,
    database_time,
    endings,
    lease_of,
    make_due,
    statuses,
)

pytestmark = pytest.mark.django_db


def fail(job: Job) -> Job:
    """Fail an attempt and claim the retry, whose time is made to come."""
    retry = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck")
    assert retry is not None
    make_due()
    again = claiming.claim(queue=QUEUE, worker="worker")
    assert again == retry
    return again


def test_three_retries_wait_two_four_and_eight_seconds_by_the_clock_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: LONG_AGO)
    job = claimed()
    for seconds in (2, 4, 8):
        before = database_time()
        retry = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck")
        assert retry is not None
        assert before <= retry.run_at - timedelta(seconds=seconds) <= database_time()
        job.refresh_from_db()
        chain = chain_of(job)
        assert chain.next_retry_at(job) == chain.next_retry_at(retry) == retry.run_at
        assert claiming.claim(queue=QUEUE, worker="worker") is None
        make_due()
        job = claiming.claim(queue=QUEUE, worker="worker") or job
    assert lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck") is None


def test_attempts_are_retrying_until_the_last_has_failed() -> None:
    first = job = claimed()
    for retries in (1, 2, 3):
        job = fail(job)
        assert statuses(first) == ["RETRYING"] * retries + ["IN_PROGRESS"]
    assert lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck") is None
    assert statuses(first) == ["FAILED"] * 4


def test_once_a_retry_completes_the_work_is_complete_and_each_attempt_keeps_how_it_ended() -> None:
    first = claimed()
    second = fail(first)
    third = fail(second)
    lifecycle.complete(job_id=third.pk, lease=lease_of(third))
    assert statuses(first) == ["COMPLETED"] * 3
    assert endings(first) == ["FAILED", "FAILED", "COMPLETED"]


def test_a_retry_knows_its_number_and_the_first_job_how_many_there_were() -> None:
    first = claimed()
    third = fail(fail(first))
    chain = list(Job.objects.of_chain(first.pk).values_list("retry_count", "round_attempt", "trigger", "parent_job"))
    assert chain == [(2, 0, "request", None), (1, 1, "automatic", first.pk), (2, 2, "automatic", first.pk)]
    assert third.max_retries == 3


def test_a_retry_is_the_same_work_from_its_beginning() -> None:
    first = claimed(arguments={"a": 1}, priority=7, checkpoint={"after": 5}, processed=5)
    again = fail(first)
    same = ("kind", "queue", "priority", "organization_id", "arguments", "correlation_id", "requested_by")
    assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
    assert (again.checkpoint, again.processed, again.only_behind) == (None, 0, False)


@pytest.mark.parametrize("end", ["fails", "is lost"])
def test_what_the_queue_says_when_an_attempt_ends_decides_whether_another_follows(end: str) -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    for most, more in ((1, True), (1, False)):
        Queue.objects.filter(name=QUEUE).update(max_retries=most)
        if end == "fails":
            retry = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck")
        else:
            retry = lifecycle.rescue(job_id=job.pk)
        assert (retry is not None) == more
        job.refresh_from_db()
        assert job.max_retries == most
        make_due()
        job = changed(claiming.claim(queue=QUEUE, worker="worker") or job, lease_expires_at=LONG_AGO)


def test_the_failure_keeps_its_words() -> None:
    job = claimed()
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck", traceback="Traceback …")
    job.refresh_from_db()
    assert (job.error_message, job.error_traceback) == ("no luck", "Traceback …")
    assert job.completed_at is not None


def test_a_permanent_failure_ends_the_chain_at_once() -> None:
    first = claimed()
    again = fail(first)
    assert lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="gone", permanent=True) is None
    assert statuses(first) == ["FAILED", "FAILED"]


def test_a_queue_decides_how_often_and_how_long() -> None:
    Queue.objects.filter(name=QUEUE).update(max_retries=1, backoff_base=10)
    job = claimed()
    before = database_time()
    retry = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no luck")
    assert retry is not None
    assert retry.run_at >= before + timedelta(seconds=10)
    make_due()
    again = claiming.claim(queue=QUEUE, worker="worker")
    assert again is not None
    assert lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no luck") is None


def test_the_database_refuses_a_second_retry_of_the_same_number() -> None:
    first = claimed()
    fail(first)
    with pytest.raises(IntegrityError, match="one_retry_of_each_number"), transaction.atomic():
        by_hand(Status.PENDING, parent_job=first, retry_count=1)


def test_the_database_refuses_a_retry_without_number() -> None:
    with pytest.raises(IntegrityError, match="retry_has_a_number"), transaction.atomic():
        by_hand(Status.PENDING, parent_job=claimed(), retry_count=0)


@pytest.mark.parametrize(
    ("attempt", "base", "seconds"), [(1, 2, 2), (2, 2, 4), (3, 2, 8), (1, 1, 1), (99, 2, 3600), (10_000, 60, 3600)]
)
def test_waits_grow_to_an_hour_at_most(attempt: int, base: float, seconds: float) -> None:
    assert backoff.delay(attempt, base=base) == timedelta(seconds=seconds)


def test_jitter_only_lengthens_a_wait_by_its_share_at_most() -> None:
    waits = {backoff.delay(3, jitter=0.5).total_seconds() for _ in range(200)}
    assert min(waits) >= 8
    assert max(waits) <= 12
    assert len(waits) > 100
