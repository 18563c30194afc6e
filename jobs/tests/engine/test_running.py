"""What a worker does with a wake-up, and how each way of ending is recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError, transaction

from conftest import Cast
from flagsite.core.db import transient_errors
from jobs import tasks
from jobs.engine import runner, stop_request, worker_registry
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import LeaseLost, NothingLeftToDo, PermanentFailure, StopRequested
from jobs.tests.engine_steps import KIND, QUEUE, changed, doing, endings, in_pauses, statuses, waiting
from orgs.tests.failing_queries import failing_queries

pytestmark = pytest.mark.django_db
TOKEN = "00000000-0000-0000-0000-000000000001"


def run(work: Callable[[Run], None], **columns: Any) -> Job:
    """A job that a worker has run to whatever end."""
    job = waiting(**columns)
    with doing(work):
        assert runner.run_next(QUEUE) == job
    job.refresh_from_db()
    return job


def counting(**counts: int) -> Callable[[Run], None]:
    def work(run: Run) -> None:
        with transaction.atomic():
            run.record_progress(**counts)

    return work


def test_no_work_is_not_an_error() -> None:
    assert runner.run_next(QUEUE) is None


def test_work_that_returns_is_complete() -> None:
    job = run(counting(total=9, processed=5))
    assert (job.status, job.total, job.error_message) == ("COMPLETED", 5, None)
    assert job.completed_at is not None


def test_some_failures_are_told_in_the_message() -> None:
    def work(run: Run) -> None:
        with transaction.atomic():
            run.record_failure(8, "too big")
            run.record_failure(7, "too small")
            run.record_progress(processed=3, failed=2)

    job = run(work)
    assert (job.status, job.total) == ("COMPLETED", 5)
    assert job.error_message == "2 of 5 organizations failed; the first (id 7): too small"


def test_failures_throughout_fail_the_attempt() -> None:
    def work(run: Run) -> None:
        with transaction.atomic():
            run.record_failure(7, "too small")
            run.record_progress(failed=1)

    job = run(work)
    assert statuses(job) == ["RETRYING", "PENDING"]
    assert job.error_message == "The only organization failed (id 7): too small"


def test_a_job_that_came_too_late_for_everyone_says_so() -> None:
    job = run(counting(processed=4, superseded=4))
    assert job.status == "COMPLETED"
    assert "newer change" in (job.error_message or "")
    assert run(counting(processed=4, superseded=3)).error_message is None


def test_an_exception_fails_the_attempt_with_its_words_and_trace() -> None:
    def work(run: Run) -> None:
        raise ValueError("no luck\nin the second line")

    job = run(work)
    assert statuses(job) == ["RETRYING", "PENDING"]
    assert job.error_message == "ValueError: no luck"
    assert "in work" in job.error_traceback


def test_words_that_no_column_can_hold_do_not_keep_a_failure_from_being_recorded() -> None:
    def work(run: Run) -> None:
        raise ValueError("zero \x00 and half a pair \ud800")

    job = run(work)
    assert statuses(job) == ["RETRYING", "PENDING"]
    assert job.error_message == "ValueError: zero \N{REPLACEMENT CHARACTER} and half a pair ?"


def test_what_cannot_succeed_is_not_tried_again() -> None:
    def work(run: Run) -> None:
        raise PermanentFailure("The flag is gone.")

    job = run(work)
    assert statuses(job) == ["FAILED"]
    assert (job.error_message or "").startswith("The flag is gone.")


def test_a_worker_that_is_stopped_hands_its_job_back_with_all_its_attempts() -> None:
    def work(run: Run) -> None:
        run.record_progress(processed=5, checkpoint={"after": 5})
        stop_request.request_stop()
        run.check()

    job = waiting()
    with doing(work):
        try:
            runner.run_next(QUEUE)
            assert runner.run_next(QUEUE) is None  # it is stopping: the job is for another
        finally:
            stop_request.withdraw()
    job.refresh_from_db()
    assert (job.status, job.retry_count, job.round_attempt) == ("PENDING", 0, 0)
    assert (job.checkpoint, job.processed) == ({"after": 5}, 5)
    with doing(counting(processed=1)):
        runner.run_next(QUEUE)
    job.refresh_from_db()
    assert (job.status, job.processed, job.claims) == ("COMPLETED", 6, 2)


def test_a_worker_that_is_stopped_passes_the_wake_up_on_to_one_that_stays(wake_ups: list[str]) -> None:
    job = waiting()
    wake_ups.clear()
    stop_request.request_stop()
    try:
        assert runner.run_next(QUEUE) is None
    finally:
        stop_request.withdraw()
    assert wake_ups == [QUEUE]
    assert statuses(job) == ["PENDING"]


@pytest.mark.parametrize("ending", [LeaseLost, ValueError, PermanentFailure, StopRequested, None])
def test_a_worker_that_lost_its_lease_records_nothing(ending: type[Exception] | None) -> None:
    def work(run: Run) -> None:
        changed(run.job, lease_token=TOKEN)
        if ending:
            raise ending

    job = run(work)
    assert statuses(job) == ["IN_PROGRESS"]
    assert (job.processed, job.error_message, str(job.lease_token)) == (0, None, TOKEN)


def test_the_end_is_recorded_once_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch, reconnections: list[str]
) -> None:
    away = ExitStack()

    def work(run: Run) -> None:
        away.enter_context(failing_queries(OperationalError("away"), times=3))

    in_pauses(monkeypatch, transient_errors, lambda _: None)
    with away:
        assert run(work).status == "COMPLETED"
    assert len(reconnections) == 3


def test_what_is_still_due_wakes_the_next(wake_ups: list[str]) -> None:
    first = waiting()
    waiting()
    wake_ups.clear()
    assert runner.run_next(QUEUE) == first
    assert wake_ups == [QUEUE]
    runner.run_next(QUEUE)
    runner.run_next(QUEUE)
    assert wake_ups == [QUEUE]


def test_one_wake_up_runs_everything_that_is_due(wake_ups: list[str]) -> None:
    jobs = [waiting() for _ in range(3)]
    wake_ups.clear()
    runner.run_due(QUEUE)
    assert [statuses(job) for job in jobs] == [["COMPLETED"]] * 3
    assert wake_ups == []


def test_a_worker_leaves_the_rest_to_another_wake_up_after_a_while(
    wake_ups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RUN_SECONDS", -1.0)
    jobs = [waiting() for _ in range(2)]
    wake_ups.clear()
    runner.run_due(QUEUE)
    assert [statuses(job) for job in jobs] == [["COMPLETED"], ["PENDING"]]
    assert wake_ups == [QUEUE]


def test_a_workers_name_is_unique_for_its_start() -> None:
    assert worker_registry.process_name() == worker_registry.process_name()
    assert len(worker_registry.process_name().split(":")) == 3


@pytest.mark.django_db
def test_the_task_of_a_wake_up_answers_what_ran() -> None:
    first = waiting()
    waiting()
    assert tasks.work(QUEUE) == f"job {first.pk}, {KIND}, and 1 more"
    last = waiting()
    assert tasks.work(QUEUE) == f"job {last.pk}, {KIND}"
    assert tasks.work(QUEUE) is None


@pytest.mark.parametrize("result", [math.nan, math.inf, "a\x00b", "\ud800", {"a\x00": 1}], ids=ascii)
def test_a_result_that_no_column_can_hold_fails_the_attempt(result: Any) -> None:
    job = run(lambda run: run.set_result(result))
    assert endings(job) == ["FAILED", "PENDING"]
    assert "which PostgreSQL cannot store" in (job.error_message or "")


def test_an_end_that_the_database_refuses_fails_the_attempt() -> None:
    job = run(lambda run: run.set_result([1e300] * 6000))  # PostgreSQL writes each of them with 301 digits
    assert endings(job) == ["FAILED", "PENDING"]
    assert "IntegrityError" in (job.error_message or "")


def test_the_words_of_every_end_can_be_stored(cast: Cast) -> None:
    def partly(run: Run) -> None:
        with transaction.atomic():
            run.record_failure(cast.oslo.pk, "bad\x00 \ud800")
            run.record_progress(processed=1, failed=1)

    def fail(run: Run) -> None:
        raise PermanentFailure("bad\x00 \ud800")

    def nothing(run: Run) -> None:
        raise NothingLeftToDo("gone\x00")

    assert [endings(run(work)) for work in (partly, fail, nothing)] == [["COMPLETED"], ["FAILED"], ["COMPLETED"]]
