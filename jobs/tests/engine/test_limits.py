"""The limits of a queue and of a kind: rates, concurrency keys, fairness, and a job that must start in time."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs.engine import claiming, kinds, lifecycle, rescuer
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job, Queue
from jobs.operations import queue_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, changed, lease_of, waiting
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
KEYED = "report-of-a-test"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of which one job runs for each organization at the same time."""
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    job_kind(KEYED, concurrency_key=lambda organization_id, arguments: str(organization_id))(lambda run: None)


def organizations(count: int) -> list[int]:
    return [Organization.objects.create(name=f"o{n}", key=f"o{n}").pk for n in range(count)]


def claim() -> Job | None:
    return claiming.claim(queue=QUEUE, worker="w")


def claimed_ids() -> list[int]:
    return [job.pk for job in iter(claim, None)]


def later(seconds: float) -> None:
    """Let the time of the rate pass."""
    Queue.objects.update(rate_arrival_at=F("rate_arrival_at") - timedelta(seconds=seconds))


def test_a_rate_lets_so_many_jobs_start_at_once_and_then_one_in_each_interval() -> None:
    Queue.objects.filter(name=QUEUE).update(rate_allowed=3, rate_seconds=60)
    for _ in range(6):
        waiting()
    assert len(claimed_ids()) == 3
    later(19)
    assert claimed_ids() == []
    later(1)
    assert len(claimed_ids()) == 1
    later(60)
    assert len(claimed_ids()) == 2


def test_the_rescuer_wakes_nobody_while_the_rate_is_used_up() -> None:
    Queue.objects.filter(name=QUEUE).update(rate_allowed=1, rate_seconds=60)
    waiting(), waiting()
    assert rescuer.wake_waiting() == 2
    claim()
    Job.objects.update(woken_at=LONG_AGO)
    assert rescuer.wake_waiting() == 0
    later(60)
    assert rescuer.wake_waiting() == 1


def test_a_key_that_is_used_up_lets_others_pass(keyed: None) -> None:
    busy, free = organizations(2)
    first, second = (lifecycle.create(kind=KEYED, organization_id=busy) for _ in range(2))
    third = lifecycle.create(kind=KEYED, organization_id=free)
    fourth = waiting()
    assert claimed_ids() == [first.pk, third.pk, fourth.pk]
    running = Job.objects.get(pk=first.pk)
    lifecycle.complete(job_id=first.pk, lease=lease_of(running))
    assert claimed_ids() == [second.pk]


def test_ten_thousand_jobs_of_a_full_key_do_not_keep_one_of_another_from_starting(keyed: None) -> None:
    busy, free = organizations(2)
    lifecycle.create(kind=KEYED, organization_id=busy)
    assert claim() is not None
    Job.objects.bulk_create(
        Job(kind=KEYED, queue=QUEUE, organization_id=busy, concurrency_key=f"{KEYED}:{busy}") for _ in range(10_000)
    )
    last = lifecycle.create(kind=KEYED, organization_id=free)
    assert claim() == last
    assert claim() is None


def test_a_retry_keeps_the_key(keyed: None) -> None:
    (busy,) = organizations(1)
    lifecycle.create(kind=KEYED, organization_id=busy)
    job = claim()
    assert job is not None
    retry = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    assert retry is not None
    assert retry.concurrency_key == f"{KEYED}:{busy}"


def test_a_fair_queue_prefers_the_organization_with_the_fewest_running_jobs() -> None:
    Queue.objects.filter(name=QUEUE).update(is_fair=True)
    loud, quiet = organizations(2)
    many = [lifecycle.create(kind=KIND, organization_id=loud, priority=5) for _ in range(4)]
    few = [lifecycle.create(kind=KIND, organization_id=quiet) for _ in range(2)]
    expected = [many[0], few[0], many[1], few[1], many[2], many[3]]
    assert claimed_ids() == [job.pk for job in expected]


def test_a_fair_queue_finds_an_organization_behind_any_number_of_jobs_of_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claiming, "FAIR_WINDOW", 20)
    Queue.objects.filter(name=QUEUE).update(is_fair=True)
    loud, quiet = organizations(2)
    many = [lifecycle.create(kind=KIND, organization_id=loud) for _ in range(40)]
    few = lifecycle.create(kind=KIND, organization_id=quiet)
    assert [job.pk for job in (claim(), claim()) if job] == [many[0].pk, few.pk]


def test_a_claim_is_one_message_and_a_limit_that_is_not_set_adds_nothing_to_it() -> None:
    statements_of_a_claim()  # after it, the process knows the limits of the queue
    (plain,) = statements_of_a_claim()
    Queue.objects.filter(name=QUEUE).update(concurrency=9, rate_allowed=9, is_fair=True)
    first, limited = statements_of_a_claim()
    assert first == plain
    for part in ("concurrency >", "rate_seconds", "LEFT JOIN"):
        assert part not in plain
        assert part in limited


def statements_of_a_claim() -> list[str]:
    """The statements of a claim that gets a job, without what differs from claim to claim."""
    waiting()
    with CaptureQueriesContext(connection) as captured:
        assert claim() is not None
    return [re.sub(r"'[0-9a-f]{32}'", "", each["sql"]) for each in captured]


def test_a_job_that_has_not_started_in_time_is_cancelled_and_never_starts() -> None:
    late = lifecycle.create(kind=KIND, start_within=timedelta(seconds=60))
    in_time = lifecycle.create(kind=KIND, start_within=timedelta(seconds=60))
    changed(late, start_by=Now() - timedelta(seconds=1))
    assert claimed_ids() == [in_time.pk]
    assert rescuer.expire_waiting() == 1
    late.refresh_from_db()
    assert (late.status, late.cancel_reason) == ("CANCELLED", "expired")
    assert "had to start by" in (late.error_message or "")
    assert rescuer.expire_waiting() == 0


def test_the_deadline_of_a_kind_is_in_the_row_by_the_clock_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    job_kind("slow-of-a-test", attempt_seconds=600)(lambda run: None)
    lifecycle.create(kind="slow-of-a-test")
    job: Any = claim()
    assert job.deadline_at - job.started_at == timedelta(seconds=600)
    lifecycle.extend(job_id=job.pk, lease=job.lease_token, seconds=1200)
    job.refresh_from_db()
    assert job.deadline_at - job.started_at > timedelta(seconds=1199)


def test_a_job_that_has_started_in_time_goes_on_after_its_worker_has_stopped() -> None:
    job = lifecycle.create(kind=KIND, start_within=timedelta(hours=1))
    taken = claim()
    assert taken is not None
    changed(taken, start_by=LONG_AGO)
    lifecycle.release(job_id=job.pk, lease=lease_of(taken))
    assert rescuer.expire_waiting() == 0
    assert claimed_ids() == [job.pk]


def test_a_new_rate_counts_from_the_next_claim_on() -> None:
    queue_operations.change(QUEUE, by="olga", rate_allowed=1, rate_seconds=86_400)
    for _ in range(3):
        waiting()
    assert len(claimed_ids()) == 1
    queue_operations.change(QUEUE, by="olga", rate_allowed=1, rate_seconds=10)
    assert claimed_ids() == []  # the start before counts for the new rate too
    later(10)
    assert len(claimed_ids()) == 1


def test_a_clock_that_went_wrong_for_a_while_does_not_stop_a_queue() -> None:
    Queue.objects.filter(name=QUEUE).update(
        rate_allowed=1, rate_seconds=10, rate_arrival_at=Now() + timedelta(days=365)
    )
    waiting()
    assert claimed_ids() == []
    assert claiming.adapt_arrivals() == 1
    assert claiming.adapt_arrivals() == 0
    later(10)
    assert len(claimed_ids()) == 1
