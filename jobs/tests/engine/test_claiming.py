"""Which job a worker gets, and when it gets none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, Queue
from jobs.engine.states import Status
from jobs.errors import UnknownKind, UnknownQueue
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, claimed, database_time, lease_of, waiting

pytestmark = pytest.mark.django_db


def claim() -> Job | None:
    return claiming.claim(queue=QUEUE, worker="worker")


def test_the_highest_priority_goes_first_then_what_is_due_longest_then_the_oldest() -> None:
    second, third = waiting(run_at=LONG_AGO + timedelta(1)), waiting(run_at=LONG_AGO + timedelta(1))
    urgent, first, low = waiting(priority=5), waiting(run_at=LONG_AGO), waiting(priority=-1, run_at=LONG_AGO)
    order = [job.pk for job in iter(claim, None)]
    assert order == [urgent.pk, first.pk, second.pk, third.pk, low.pk]


def test_nothing_is_taken_before_its_time() -> None:
    job = waiting(run_at=Now() + timedelta(seconds=30))
    assert claim() is None
    Job.objects.filter(pk=job.pk).update(run_at=Now())
    assert claim() == job


def test_a_paused_queue_starts_nothing_until_it_goes_on() -> None:
    job = waiting()
    Queue.objects.filter(name=QUEUE).update(paused_at=Now())
    assert claim() is None
    Queue.objects.filter(name=QUEUE).update(paused_at=None)
    assert claim() == job


def test_other_queues_do_not_matter() -> None:
    waiting(queue="propagation")
    assert claim() is None


def test_a_full_queue_starts_nothing_until_one_has_ended() -> None:
    Queue.objects.filter(name=QUEUE).update(concurrency=2)
    first = claimed()
    claimed()
    third = waiting()
    assert claim() is None
    lifecycle.complete(job_id=first.pk, lease=lease_of(first))
    assert claim() == third


def test_a_claim_gives_a_lease_by_the_clock_of_the_database() -> None:
    before = database_time()
    job = claimed()
    assert job.status == Status.IN_PROGRESS
    assert job.lease_expires_at is not None
    assert before <= job.lease_expires_at - timedelta(seconds=30) <= database_time()
    assert (job.worker, job.claims) == ("worker", 1)


def test_every_claim_has_a_token_of_its_own_and_the_first_start_stays() -> None:
    job = claimed()
    lifecycle.release(job_id=job.pk, lease=lease_of(job))
    again = claim()
    assert again == job
    assert again.lease_token != job.lease_token
    assert again.started_at == job.started_at
    assert again.claims == 2


def test_unknown_queues_and_kinds_are_told() -> None:
    with pytest.raises(UnknownQueue):
        claiming.claim(queue="nowhere", worker="worker")
    with pytest.raises(UnknownKind):
        lifecycle.create(kind="nothing", organization_id=1)


def test_a_new_job_has_the_retries_of_its_queue() -> None:
    Queue.objects.filter(name=QUEUE).update(max_retries=F("max_retries") + 4)
    assert lifecycle.create(kind=KIND, organization_id=1).max_retries == 7


def test_a_job_that_is_handed_back_waits_from_then_on() -> None:
    first = claimed(run_at=LONG_AGO)
    other = waiting(priority=first.priority)
    lifecycle.release(job_id=first.pk, lease=lease_of(first))
    assert claiming.claim(queue=QUEUE, worker="worker") == other
    assert claiming.claim(queue=QUEUE, worker="worker") == first
