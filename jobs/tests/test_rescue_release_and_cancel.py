"""Attempts that end otherwise: a dead worker's, a stopped worker's, a cancelled one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs import lifecycle, runner, stopping, sweep
from jobs.errors import MoveRefused, NotCancellable
from jobs.models import Job
from jobs.run import Run
from jobs.tests import kinds_for_tests as engine

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    yield
    engine.between_chunks.clear()
    stopping.withdraw()


def test_a_dead_workers_job_has_a_retry_that_is_due_at_once() -> None:
    first = engine.create()
    engine.let_lease_expire(engine.claim("host:1"))
    assert sweep.sweep().rescued == 1
    assert engine.statuses(first) == ["RETRYING", "PENDING"]
    retry = engine.claim()
    assert retry.parent_job_id == first.pk
    first.refresh_from_db()
    assert first.error_message == "The worker host:1 stopped without a word; its lease has expired."


def test_a_job_whose_lease_was_renewed_is_left_alone() -> None:
    engine.create()
    job = engine.claim()
    assert sweep.rescue_expired() == 0
    with pytest.raises(MoveRefused):
        lifecycle.rescue(job_id=job.pk)
    assert engine.statuses(job) == ["IN_PROGRESS"]


def test_a_job_that_kills_every_worker_fails_in_the_end() -> None:
    first = engine.create()
    for _ in range(4):
        engine.let_lease_expire(engine.claim())
        sweep.rescue_expired()
    assert engine.statuses(first) == ["FAILED"] * 4
    assert lifecycle.claim(queue=engine.QUEUE, worker="worker") is None


def test_a_stopped_worker_hands_its_job_back_and_another_goes_on_where_it_was() -> None:
    engine.between_chunks.append(lambda run: stopping.request_stop())
    first = engine.create()
    runner.run_next(engine.QUEUE)
    first.refresh_from_db()
    assert (first.status, first.processed, first.checkpoint) == ("PENDING", 1, {"done": 1})
    assert runner.run_next(engine.QUEUE) is None, "a stopping worker takes no other job"
    stopping.withdraw()
    runner.run_next(engine.QUEUE)
    first.refresh_from_db()
    assert (first.status, first.processed, first.retry_count, first.claims) == ("COMPLETED", 2, 0, 2)


def test_a_waiting_job_is_cancelled_at_once() -> None:
    job = engine.create()
    assert lifecycle.cancel(job_id=job.pk, by="user:alice", reason="wrong flag").status == "CANCELLED"
    job.refresh_from_db()
    assert (job.cancelled_by, job.reason) == ("user:alice", "wrong flag")
    assert lifecycle.claim(queue=engine.QUEUE, worker="worker") is None


def test_a_running_job_is_cancelled_at_its_next_chunk_and_what_was_written_stays() -> None:
    def cancel(run: Run) -> None:
        assert lifecycle.cancel(job_id=run.job.pk, by="somebody").status == "IN_PROGRESS"
        run.record_progress()

    engine.between_chunks.append(cancel)
    job = engine.create()
    runner.run_next(engine.QUEUE)
    job.refresh_from_db()
    assert (job.status, job.processed, job.total) == ("CANCELLED", 1, 2)


def test_cancelling_a_chain_that_waits_for_its_retry_ends_it() -> None:
    first = engine.create()
    lifecycle.fail(**engine.lease(engine.claim()), error="no")
    cancelled = lifecycle.cancel(job_id=first.pk, by="somebody")
    assert cancelled.parent_job_id == first.pk
    assert engine.statuses(first) == ["FAILED", "CANCELLED"]


def test_a_failure_after_a_request_to_cancel_is_not_retried() -> None:
    first = engine.create()
    job = engine.claim()
    lifecycle.cancel(job_id=job.pk, by="somebody")
    assert lifecycle.fail(**engine.lease(job), error="no") is None
    assert engine.statuses(first) == ["CANCELLED"]


def test_a_dead_workers_job_that_was_to_be_cancelled_is_cancelled() -> None:
    first = engine.create()
    job = engine.claim()
    lifecycle.cancel(job_id=job.pk, by="somebody")
    engine.let_lease_expire(job)
    sweep.rescue_expired()
    assert engine.statuses(first) == ["CANCELLED"]


def test_what_has_ended_cannot_be_cancelled() -> None:
    engine.create()
    job = engine.claim()
    lifecycle.complete(**engine.lease(job))
    with pytest.raises(NotCancellable, match="is COMPLETED"):
        lifecycle.cancel(job_id=job.pk, by="somebody")


def test_the_sweep_wakes_for_what_is_due_but_does_not_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr("jobs.wakeup.wake", woken.append)
    due, later = engine.create(), engine.create()
    Job.objects.filter(pk=later.pk).update(run_at="2100-01-01T00:00:00Z")
    woken.clear()
    assert sweep.wake_waiting() == 1
    assert sweep.wake_waiting() == 0, "it was woken a moment ago"
    Job.objects.filter(pk=due.pk).update(woken_at="2000-01-01T00:00:00Z")
    assert sweep.wake_waiting() == 1
    assert woken == [engine.QUEUE] * 2
