"""The end of a job and the claim of the next one: one message, one transaction, and right whatever fails in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs.batches.creation import Member, create_batch
from jobs.batches.models import Batch
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle, runner, stop_request
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.tests.engine_steps import KIND, QUEUE, changed, claimed, doing, lease_of, make_due, statuses, waiting
from jobs.tests.races.threads import Background

pytestmark = pytest.mark.django_db
TOKEN = "00000000-0000-0000-0000-000000000001"


def messages(act: Callable[[], object]) -> list[str]:
    """The messages to the database, without those of the transaction around the test."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return [each["sql"] for each in captured if "SAVEPOINT" not in each["sql"]]


@contextmanager
def lost_answers(of: str, *, is_made: bool, times: int = 1) -> Iterator[None]:
    """While it lasts, the answers of so many messages with the text `of` are lost; they were carried out or not."""
    left = [times]

    def query(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if of not in sql or not left[0]:
            return execute(sql, parameters, many, context)
        left[0] -= 1
        if is_made:
            execute(sql, parameters, many, context)
        raise OperationalError("The connection is lost.")

    with connection.execute_wrapper(query):
        yield
    assert left == [0]


def once(first: Callable[[Run], None]) -> Callable[[Run], None]:
    """Work that does `first` in the first job, and nothing in the others."""
    calls: list[int] = []

    def work(run: Run) -> None:
        calls.append(run.job.pk)
        if len(calls) == 1:
            first(run)

    return work


def test_each_job_takes_one_message_and_so_does_the_look_for_the_next_one() -> None:
    for queue in ("propagation", QUEUE):
        runner.run_due(queue)  # the process knows its queues and their limits
    jobs = [waiting() for _ in range(4)]
    assert len(messages(partial(runner.run_due, QUEUE))) == 1 + len(jobs)
    assert [statuses(job) for job in jobs] == [["COMPLETED"]] * 4


def test_the_end_and_the_next_claim_are_one_transaction() -> None:
    first, second = waiting(), waiting()

    def seen(run: Run) -> None:
        if run.job == second:
            assert statuses(first) == ["COMPLETED"]

    with doing(seen):
        runner.run_due(QUEUE)
    assert statuses(second) == ["COMPLETED"]


def test_each_attempt_is_counted_once() -> None:
    for _ in range(3):
        waiting()
    with doing(lambda run: run.set_result({"found": run.job.pk})):
        runner.run_due(QUEUE)
    (counted,) = HourlyMetrics.objects.filter(kind=KIND)
    assert (counted.count, counted.chains, counted.outcome) == (3, 3, "completed")
    assert sum(counted.processing_buckets) == sum(counted.chain_buckets) == sum(counted.waiting_buckets) == 3
    assert sum(counted.backoff_buckets) == 0
    assert [job.result for job in Job.objects.order_by("pk")] == [
        {"found": job.pk} for job in Job.objects.order_by("pk")
    ]


@pytest.mark.parametrize("how", ["fails", "superseded", "all fail", "some fail"])
def test_an_end_that_needs_more_steps_takes_them_and_the_worker_goes_on(how: str) -> None:
    def first(run: Run) -> None:
        if how == "fails":
            raise ValueError
        with transaction.atomic():
            counts = {"superseded": (2, 0, 2), "all fail": (0, 2, 0), "some fail": (1, 1, 0)}[how]
            run.record_progress(**dict(zip(("processed", "failed", "superseded"), counts, strict=True)))

    jobs = [waiting(), waiting()]
    with doing(once(first)):
        runner.run_due(QUEUE)
    expected = ["RETRYING", "PENDING"] if how in {"fails", "all fail"} else ["COMPLETED"]
    assert [statuses(job) for job in jobs] == [expected, ["COMPLETED"]]
    jobs[0].refresh_from_db()
    assert bool(jobs[0].error_message)


def test_the_retry_that_ends_a_chain_heals_the_attempts_before_it() -> None:
    job = claimed()
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    make_due()
    other = waiting()
    runner.run_due(QUEUE)
    assert statuses(job) == ["COMPLETED", "COMPLETED"]
    assert statuses(other) == ["COMPLETED"]


def test_a_worker_that_lost_its_lease_ends_nothing_and_goes_on_with_the_next_job() -> None:
    jobs = [waiting(), waiting()]
    with doing(once(lambda run: changed(run.job, lease_token=TOKEN) and None)):
        runner.run_due(QUEUE)
    assert [statuses(job) for job in jobs] == [["IN_PROGRESS"], ["COMPLETED"]]
    assert not HourlyMetrics.objects.exclude(count=1).exists()


@pytest.mark.usefixtures("reconnections")
@pytest.mark.parametrize("is_made", [True, False])
def test_a_lost_answer_ends_each_job_once_and_leaves_no_claimed_job_behind(is_made: bool) -> None:
    jobs = [waiting() for _ in range(3)]
    with lost_answers("COMPLETED", is_made=is_made):
        assert runner.run_due(QUEUE) == jobs
    assert [statuses(job) for job in jobs] == [["COMPLETED"]] * 3
    assert [job.claims for job in Job.objects.all()] == [1, 1, 1]
    assert [counted.count for counted in HourlyMetrics.objects.all()] == [3]


def test_a_pause_that_comes_while_a_job_runs_holds_back_the_next_one() -> None:
    jobs = [waiting(), waiting()]
    with doing(lambda run: Queue.objects.filter(name=QUEUE).update(paused_at=Now()) and None):
        runner.run_due(QUEUE)
    assert [statuses(job) for job in jobs] == [["COMPLETED"], ["PENDING"]]


def test_limits_that_come_while_a_job_runs_hold_for_the_next_one() -> None:
    other = claimed()
    jobs = [waiting(), waiting()]
    with doing(lambda run: Queue.objects.filter(name=QUEUE).update(concurrency=1) and None):
        runner.run_due(QUEUE)
    assert [statuses(job) for job in jobs] == [["COMPLETED"], ["PENDING"]]
    lifecycle.complete(job_id=other.pk, lease=lease_of(other))
    runner.run_due(QUEUE)
    assert statuses(jobs[1]) == ["COMPLETED"]


def test_a_worker_that_has_to_stop_claims_no_next_job() -> None:
    jobs = [waiting(), waiting()]
    try:
        with doing(lambda run: stop_request.request_stop()):
            runner.run_due(QUEUE)
    finally:
        stop_request.withdraw()
    assert [statuses(job) for job in jobs] == [["COMPLETED"], ["PENDING"]]


def test_the_last_member_ends_its_batch_and_the_others_take_one_message_each() -> None:
    batch = create_batch("three", [Member(kind=KIND) for _ in range(3)]).batch
    runner.run_due("propagation")
    sent = messages(partial(runner.run_due, QUEUE))
    assert sum("FROM jobs_batch" in each and "COMPLETED" in each for each in sent) == 3
    batch.refresh_from_db()
    assert (batch.outcome, batch.succeeded) == ("SUCCEEDED", 3)


@pytest.mark.django_db(transaction=True)
def test_of_two_last_members_that_end_at_once_one_ends_the_batch() -> None:
    batch = create_batch("two", [Member(kind=KIND) for _ in range(2)]).batch
    first, second = claiming.claim(queue=QUEUE, worker="a"), claiming.claim(queue=QUEUE, worker="b")
    assert first is not None
    assert second is not None
    with transaction.atomic():
        Batch.objects.select_for_update().get(pk=batch.pk)
        ends = [Background(partial(runner.run_claimed, job)) for job in (first, second)]
        for end in ends:
            end.wait_until_blocked()
    for end in ends:
        end.result()
    batch.refresh_from_db()
    assert (batch.outcome, batch.succeeded) == ("SUCCEEDED", 2)
