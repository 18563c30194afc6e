"""A host project enqueues its tasks with Django's Tasks interface, and gets jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tasks import TaskResult, TaskResultStatus, default_task_backend
from django_tasks.exceptions import InvalidTaskError, TaskResultDoesNotExist, TaskResultMismatch
from django_tasks.signals import task_enqueued, task_finished, task_started

from flagsite.core import actor
from jobs.console.job_tables import work_word
from jobs.django_tasks.results import KIND, AttemptEnded
from jobs.engine import lifecycle, runner
from jobs.engine.kinds import enqueueable_kinds
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.errors import StopRequested
from jobs.operations import job_operations
from jobs.tests.django_tasks import shop_tasks
from jobs.tests.engine_steps import before_each, endings, make_due

pytestmark = pytest.mark.django_db
READY, RUNNING, SUCCESSFUL, FAILED = (TaskResultStatus[name] for name in ("READY", "RUNNING", "SUCCESSFUL", "FAILED"))


@pytest.fixture(autouse=True)
def _backend(settings: LazySettings) -> Iterator[None]:
    settings.TASKS = {"default": {"BACKEND": "jobs.django_tasks.backend.JobBackend", "QUEUES": []}}
    yield
    shop_tasks.left_failures.clear()


def run_all(queue: str = "default") -> None:
    """Let a worker run what waits, with the retries."""
    make_due()
    while runner.run_next(queue) is not None:
        make_due()


def job_of(result: TaskResult[Any]) -> Job:
    return Job.objects.get(pk=int(result.id))


def test_a_task_is_ready_and_then_successful_with_its_value() -> None:
    before = datetime.now(UTC)
    result = shop_tasks.add.enqueue(40, second=2)
    assert (result.status, result.args, result.kwargs) == (READY, [40], {"second": 2})
    assert (result.started_at, result.finished_at, result.worker_ids, result.errors) == (None, None, [], [])
    assert result.enqueued_at is not None
    assert result == shop_tasks.add.get_result(result.id)
    with pytest.raises(ValueError, match="has not finished"):
        assert result.return_value
    run_all()
    result.refresh()
    assert (result.status, result.return_value, result.is_finished, result.attempts) == (SUCCESSFUL, 42, True, 1)
    assert result.finished_at is not None
    assert before - timedelta(minutes=1) < result.enqueued_at <= result.finished_at
    assert result.started_at == result.last_attempted_at


def test_a_task_is_a_job_of_its_own_kind_with_the_actor_of_its_request() -> None:
    with actor.acting("api", actor="user:alice", correlation_id="request-1"):
        job = job_of(shop_tasks.add.enqueue(1))
    assert (job.kind, job.queue, job.priority, job.trigger) == (KIND, "default", 0, Job.Trigger.EVENT)
    assert (job.requested_by, job.correlation_id) == ("user:alice", "request-1")
    assert job.arguments["task"] == "jobs.tests.django_tasks.shop_tasks.add"


def test_queue_priority_and_time_of_a_task_are_those_of_its_job() -> None:
    later = datetime(2099, 1, 1, tzinfo=UTC)
    task = shop_tasks.add.using(queue_name="report", priority=-100, run_after=later)
    result = task.enqueue(1)
    job = job_of(result)
    assert (job.queue, job.priority, job.run_at) == ("report", -100, later)
    assert default_task_backend.get_result(result.id).task == task
    assert runner.run_next("report") is None  # not due yet


def test_the_task_with_the_higher_priority_runs_first() -> None:
    low, high = shop_tasks.add.using(priority=-1).enqueue(1), shop_tasks.add.using(priority=1).enqueue(2)
    runner.run_next("default")
    assert (shop_tasks.add.get_result(high.id).status, shop_tasks.add.get_result(low.id).status) == (SUCCESSFUL, READY)


def test_coroutine_functions_run_and_results_are_json() -> None:
    async def ask() -> TaskResult[Any]:
        result = await shop_tasks.greet.aenqueue(name="Zoë")
        return await shop_tasks.greet.aget_result(result.id)

    result = async_to_sync(ask)()
    assert (result.status, result.task.priority) == (READY, 7)
    run_all()
    async_to_sync(result.arefresh)()
    assert result.return_value == {"hello": ["Zoë", None, 1.5]}


def test_a_task_that_fails_is_ready_again_and_its_errors_stay() -> None:
    shop_tasks.left_failures[:] = [ConnectionError("away"), ValueError("odd\nodd: 3")]
    result = shop_tasks.unlucky.enqueue("done")
    runner.run_next("default")
    result.refresh()
    assert (result.status, result.attempts, result.finished_at) == (READY, 1, None)
    run_all()
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, "done", 3)
    assert [error.exception_class for error in result.errors] == [ConnectionError, ValueError]
    assert "left_failures.pop(0)" in result.errors[0].traceback
    assert endings(job_of(result)) == ["FAILED", "FAILED", "COMPLETED"]
    assert len(result.worker_ids) == 3
    assert result.started_at is not None
    assert result.last_attempted_at is not None
    assert result.started_at < result.last_attempted_at


def test_a_task_whose_retries_are_used_up_is_failed_until_a_person_retries_it() -> None:
    Queue.objects.filter(name="default").update(max_retries=1)
    result = shop_tasks.always_fails.enqueue()
    run_all()
    result.refresh()
    assert (result.status, result.attempts, len(result.errors)) == (FAILED, 2, 2)
    assert {error.exception_class_path for error in result.errors} == {"builtins.LookupError"}
    with pytest.raises(ValueError, match="Task failed"):
        assert result.return_value
    job_operations.retry(job_id=job_of(result).pk, by="user:alice", reason="the bank is back")
    result.refresh()
    assert (result.status, result.is_finished) == (READY, False)


def test_a_permanent_failure_ends_a_task_at_once() -> None:
    result = shop_tasks.hopeless.enqueue()
    run_all()
    result.refresh()
    (error,) = result.errors
    assert (result.status, error.exception_class, error.traceback) == (FAILED, AttemptEnded, "The customer is gone.")


def test_a_cancelled_task_is_failed_and_says_who_has_cancelled_it() -> None:
    result = shop_tasks.add.enqueue(1)
    job_operations.cancel(job_id=job_of(result).pk, by="user:alice", reason="wrong customer")
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 0)
    assert result.errors[0].traceback == "Cancelled by user:alice. wrong customer"


@pytest.mark.parametrize("what", ["nan", "nul", "object", "long"])
def test_a_task_that_returns_what_cannot_be_stored_is_failed_without_a_retry(what: str) -> None:
    result = shop_tasks.returns.enqueue(what)
    run_all()
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 1)
    assert "shop_tasks.returns has returned what cannot be stored." in result.errors[0].traceback


@pytest.mark.parametrize("value", [float("nan"), "\0", "\ud800", object(), {1, 2}])
def test_arguments_that_cannot_be_stored_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        shop_tasks.add.enqueue(value)
    assert not Job.objects.exists()


def test_arguments_come_back_as_json_has_them() -> None:
    result = shop_tasks.returns.enqueue({"tuple": (1, 2), 3: b"bytes"})
    assert result.args == [{"tuple": [1, 2], "3": "bytes"}] == shop_tasks.returns.get_result(result.id).args


def test_a_queue_that_does_not_exist_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(InvalidTaskError, match=r"There is no queue 'nowhere'\. The queues are: .*default"):
        shop_tasks.add.using(queue_name="nowhere").enqueue(1)


def test_a_queue_that_the_host_project_does_not_list_is_refused(settings: LazySettings) -> None:
    settings.TASKS = {"default": settings.TASKS["default"] | {"QUEUES": ["default"]}}
    with pytest.raises(InvalidTaskError, match="'report' is not valid"):
        shop_tasks.add.using(queue_name="report")


def test_a_job_that_was_accepted_runs_whatever_became_of_its_queue_and_priority(settings: LazySettings) -> None:
    result = shop_tasks.add.using(queue_name="report").enqueue(1)
    Job.objects.filter(pk=job_of(result).pk).update(priority=1000)
    settings.TASKS = {"default": settings.TASKS["default"] | {"QUEUES": ["default"]}}
    run_all("report")
    assert shop_tasks.add.get_result(result.id).return_value == 1


def test_a_task_is_enqueued_in_the_transaction_of_its_caller() -> None:
    with pytest.raises(RuntimeError, match="changed my mind"), transaction.atomic():
        result = shop_tasks.add.enqueue(1)
        raise RuntimeError("changed my mind")
    with pytest.raises(TaskResultDoesNotExist):
        shop_tasks.add.get_result(result.id)


@pytest.mark.parametrize("result_id", ["0", "x", "", "²", "99999999999999999999", "-1"])
def test_a_result_that_does_not_exist(result_id: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        shop_tasks.add.get_result(result_id)


def test_other_jobs_and_the_retries_of_a_task_are_no_results() -> None:
    other = lifecycle.create(kind="cleanup")
    shop_tasks.left_failures[:] = [ValueError("odd")]
    result = shop_tasks.unlucky.enqueue("x")
    run_all()
    retry = Job.objects.get(parent_job_id=int(result.id))
    for job in (other, retry):
        with pytest.raises(TaskResultDoesNotExist):
            default_task_backend.get_result(str(job.pk))
    with pytest.raises(TaskResultMismatch):
        shop_tasks.add.get_result(result.id)


@pytest.mark.parametrize("path", ["jobs.tests.django_tasks.shop_tasks.no_task", "os.getcwd", "gone.tasks.send"])
def test_only_tasks_are_called_and_a_lost_one_is_retried_until_its_code_is_back(path: str) -> None:
    job = job_of(shop_tasks.add.enqueue(1))
    Job.objects.filter(pk=job.pk).update(arguments=job.arguments | {"task": path})
    runner.run_next("default")
    job.refresh_from_db()
    assert job.status == "RETRYING"
    assert (job.error_message or "").partition(":")[0] in {"ImportError", "ModuleNotFoundError"}


def test_nobody_enqueues_a_task_by_its_path() -> None:
    assert KIND not in [kind.name for kind in enqueueable_kinds()]


def test_a_task_with_a_context_goes_on_from_its_checkpoint_after_a_worker_has_stopped() -> None:
    def stop_after_two(run: Run) -> None:
        run.job.refresh_from_db(fields=["processed"])
        if run.job.processed == 2 and run.job.claims == 1:
            raise StopRequested

    result = shop_tasks.counts_to.enqueue(5)
    with before_each("check", stop_after_two):
        runner.run_next("default")
        result.refresh()
        assert (result.status, result.errors) == (READY, [])
        runner.run_next("default")
    result.refresh()
    assert result.return_value == {"attempt": 1, "began": 2, "id": result.id}
    assert job_of(result).processed == 5


def test_a_retry_of_a_task_with_a_context_goes_on_from_the_checkpoint() -> None:
    shop_tasks.left_failures[:] = [ConnectionError("away")]
    result = shop_tasks.counts_to.enqueue(5)
    run_all()
    result.refresh()
    assert result.return_value == {"attempt": 2, "began": 4, "id": result.id}


def test_only_an_awaited_end_costs_more_than_the_end_of_another_job() -> None:
    def messages() -> int:
        shop_tasks.add.enqueue(1)
        runner.run_due("report")  # the process knows its queues
        with CaptureQueriesContext(connection) as captured:
            runner.run_due("default")
        return len([each for each in captured if "SAVEPOINT" not in each["sql"]])

    alone = messages()

    def receive(**_: Any) -> None:
        pass

    task_finished.connect(receive)
    try:
        assert alone == 2 < messages()
    finally:
        task_finished.disconnect(receive)


def test_the_signals_of_tasks_are_sent(django_capture_on_commit_callbacks: Any) -> None:
    seen: list[tuple[str, str, TaskResultStatus]] = []

    def note(name: str) -> Any:
        def receive(task_result: TaskResult[Any], **_: Any) -> None:
            seen.append((name, task_result.id, task_result.status))
            raise ValueError("a receiver that fails does no harm to the job")

        return receive

    started, finished = note("started"), note("finished")
    task_started.connect(started)
    task_finished.connect(finished)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            result = shop_tasks.add.enqueue(1)
            runner.run_next("default")
    finally:
        task_started.disconnect(started)
        task_finished.disconnect(finished)
    assert seen == [("started", result.id, RUNNING), ("finished", result.id, SUCCESSFUL)]
    assert task_enqueued.has_listeners()  # the log of the library


@pytest.mark.django_db(transaction=True)
def test_without_workers_a_task_runs_in_the_process_that_enqueues_it(settings: LazySettings) -> None:
    settings.JOBS_INLINE = True
    result = shop_tasks.add.enqueue(20, 22)
    assert (result.status, result.return_value) == (SUCCESSFUL, 42)


def test_people_see_which_task_a_job_calls(admin_client: Client) -> None:
    job = job_of(shop_tasks.add.enqueue(1))
    assert work_word(job) == f"{KIND} jobs.tests.django_tasks.shop_tasks.add"
    page = admin_client.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert "jobs.tests.django_tasks.shop_tasks.add <strong>task</strong>" in page
