"""Failed attempts, the retries that follow them, and chains."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from jobs import backoff, chains, lifecycle, runner
from jobs.errors import NotRetryable, PermanentFailure
from jobs.models import Job, Queue
from jobs.run import Run
from jobs.states import Status
from jobs.tests import kinds_for_tests as engine

pytestmark = pytest.mark.django_db


def _fail(job: Job, *, permanent: bool = False) -> Job | None:
    return lifecycle.fail(**engine.lease(job), error="no luck", permanent=permanent)


def _fail_all_attempts(first: Job) -> None:
    while (job := lifecycle.claim(queue=engine.QUEUE, worker="worker")) is not None:
        retry = _fail(job)
        if retry is not None:
            engine.make_due(retry)
    assert chains.chain_of(first).status == Status.FAILED


def test_three_retries_follow_after_two_four_and_eight_seconds() -> None:
    first = engine.create()
    waits = []
    for _ in range(3):
        retry = _fail(engine.claim())
        assert retry is not None
        assert lifecycle.claim(queue=engine.QUEUE, worker="worker") is None, "it waits"
        waits.append(round((retry.run_at - retry.created_at).total_seconds()))
        engine.make_due(retry)
    assert waits == [2, 4, 8]
    assert _fail(engine.claim()) is None
    assert engine.statuses(first) == ["FAILED"] * 4


def test_while_a_retry_waits_or_runs_the_failed_attempts_are_retrying() -> None:
    first = engine.create()
    retry = _fail(engine.claim())
    assert retry is not None
    assert engine.statuses(first) == ["RETRYING", "PENDING"]
    engine.make_due(retry)
    claimed = engine.claim()
    assert engine.statuses(first) == ["RETRYING", "IN_PROGRESS"]
    assert chains.chain_of(first).status == Status.RETRYING
    lifecycle.complete(**engine.lease(claimed))
    assert engine.statuses(first) == ["FAILED", "COMPLETED"]
    assert chains.chain_of(retry) == chains.Chain(first.pk, retry.pk, Status.COMPLETED)


def test_the_first_job_counts_its_retries_and_each_retry_has_its_number() -> None:
    first = engine.create()
    _fail_all_attempts(first)
    attempts = engine.chain(first)
    assert [attempt.retry_count for attempt in attempts] == [3, 1, 2, 3]
    assert {attempt.parent_job_id for attempt in attempts[1:]} == {first.pk}
    assert [attempt.trigger for attempt in attempts] == ["request", *["automatic"] * 3]


def test_the_failed_attempt_says_when_it_is_tried_again() -> None:
    first = engine.create()
    retry = _fail(engine.claim())
    first.refresh_from_db()
    assert retry is not None
    assert first.next_retry_at == retry.run_at == retry.next_retry_at
    assert first.error_message == "no luck"


def test_a_permanent_failure_is_not_tried_again() -> None:
    first = engine.create()
    assert _fail(engine.claim(), permanent=True) is None
    assert engine.statuses(first) == ["FAILED"]


def test_a_chain_cannot_fork() -> None:
    first = engine.create()
    _fail(engine.claim())
    with pytest.raises(IntegrityError, match="one_retry_of_each_number"), transaction.atomic():
        Job.objects.create(kind=engine.KIND, queue=engine.QUEUE, parent_job=first, retry_count=1)


def test_a_manual_retry_opens_a_new_round_in_the_same_chain() -> None:
    first = engine.create(requested_by="client", correlation_id="c-1")
    _fail_all_attempts(first)
    again = lifecycle.retry(job_id=first.pk, by="user:alice", reason="disk was full")
    assert engine.statuses(first) == ["RETRYING"] * 4 + ["PENDING"]
    assert (again.retry_count, again.round_attempt, again.trigger) == (4, 0, "manual")
    assert (again.requested_by, again.reason, again.correlation_id) == ("user:alice", "disk was full", "c-1")
    next_one = _fail(engine.claim())
    assert next_one is not None
    assert round((next_one.run_at - next_one.created_at).total_seconds()) == 2
    assert next_one.retry_count == 5


def test_a_retry_does_the_same_work() -> None:
    first = engine.create(arguments={"what": "this"}, priority=3)
    retry = _fail(engine.claim())
    assert retry is not None
    assert (retry.arguments, retry.priority, retry.kind, retry.queue) == ({"what": "this"}, 3, first.kind, first.queue)


def test_after_partial_failure_a_retry_covers_only_what_was_left_behind() -> None:
    first = engine.create()
    job = engine.claim()
    lifecycle.record_progress(**engine.lease(job), processed=4, failed=1)
    lifecycle.complete(**engine.lease(job), message="1 of 5 failed")
    again = lifecycle.retry(job_id=first.pk, by="somebody")
    assert again.only_behind
    assert engine.statuses(first) == ["COMPLETED", "PENDING"]


def test_what_waits_runs_was_cancelled_or_has_completed_is_not_retried() -> None:
    waiting = engine.create()
    with pytest.raises(NotRetryable, match="PENDING already"):
        lifecycle.retry(job_id=waiting.pk, by="somebody")
    job = engine.claim()
    with pytest.raises(NotRetryable, match="IN_PROGRESS already"):
        lifecycle.retry(job_id=job.pk, by="somebody")
    lifecycle.complete(**engine.lease(job))
    with pytest.raises(NotRetryable, match="nothing to retry"):
        lifecycle.retry(job_id=job.pk, by="somebody")
    cancelled = engine.create()
    lifecycle.cancel(job_id=cancelled.pk, by="somebody")
    with pytest.raises(NotRetryable, match="cancelled"):
        lifecycle.retry(job_id=cancelled.pk, by="somebody")


def test_a_queue_decides_how_often_and_how_long() -> None:
    Queue.objects.filter(name=engine.QUEUE).update(max_retries=1, backoff_base=3)
    first = engine.create()
    retry = _fail(engine.claim())
    assert retry is not None
    assert round((retry.run_at - retry.created_at).total_seconds()) == 3
    engine.make_due(retry)
    assert _fail(engine.claim()) is None
    assert engine.statuses(first) == ["FAILED", "FAILED"]


def test_an_error_in_the_work_is_told_in_words_and_kept_with_its_trace() -> None:
    def break_down(run: Run) -> None:
        raise ValueError("the third wheel came off\nand more")

    engine.between_chunks.append(break_down)
    try:
        first = engine.create()
        runner.run_next(engine.QUEUE)
    finally:
        engine.between_chunks.clear()
    first.refresh_from_db()
    assert first.error_message == "ValueError: the third wheel came off"
    assert "break_down" in first.error_traceback
    assert engine.statuses(first) == ["RETRYING", "PENDING"]


def test_a_permanent_failure_in_the_work_ends_the_chain() -> None:
    def give_up(run: Run) -> None:
        raise PermanentFailure("The organization no longer exists.")

    engine.between_chunks.append(give_up)
    try:
        first = engine.create()
        runner.run_next(engine.QUEUE)
    finally:
        engine.between_chunks.clear()
    first.refresh_from_db()
    assert (first.status, first.error_message) == ("FAILED", "The organization no longer exists.")


def test_jitter_only_ever_lengthens_a_wait_and_an_hour_is_the_most() -> None:
    waits = {backoff.delay(3, jitter=0.5).total_seconds() for _ in range(50)}
    assert len(waits) > 1
    assert all(8 <= wait <= 12 for wait in waits)
    assert backoff.delay(1000).total_seconds() == 3600
