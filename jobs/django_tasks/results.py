"""Read a chain of jobs as the result of a task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.module_loading import import_string
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task, TaskError, TaskResult, TaskResultStatus
from django_tasks.exceptions import TaskResultDoesNotExist

from flagsite.core.adapters.django_tasks import set_return_value, task_with
from flagsite.core.ids import MAX_ID
from jobs.engine.models import Job
from jobs.engine.states import Status

KIND = "django_task"
STATUSES = {
    Status.PENDING: TaskResultStatus.READY,
    Status.IN_PROGRESS: TaskResultStatus.RUNNING,
    Status.COMPLETED: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
}
"""The status of a task by the status of the latest attempt. A task whose retry waits is ready to run again."""


class AttemptEnded(Exception):
    """The attempt ended without an exception of the task: it took too long, its worker died, or it was cancelled."""


def find(backend: BaseTaskBackend, result_id: str) -> TaskResult[Any]:
    """Return the result of the task with this id. Raises TaskResultDoesNotExist, or ImportError for a lost function."""
    if not (result_id.isascii() and result_id.isdigit() and int(result_id) <= MAX_ID):
        raise TaskResultDoesNotExist(result_id)
    attempts = list(Job.objects.of_chain(int(result_id)).filter(kind=KIND))
    if not attempts or attempts[0].parent_job_id is not None:
        raise TaskResultDoesNotExist(result_id)
    return of_chain(attempts, task_of(attempts[0], backend=backend.alias))


def task_of(job: Job, *, backend: str | None = None) -> Task[Any, Any]:
    """Return the task that the job runs, with its own queue, priority and time. `backend` is the name of a backend.

    Only the name of a task is imported and accepted: ImportError for everything else.
    """
    path, run_after = job.arguments["task"], job.arguments.get("run_after")
    task = import_string(path)
    if not isinstance(task, Task):
        raise ImportError(f"{path} is no task: the decorator of django_tasks is missing.")  # noqa: TRY004 - of the code
    return task_with(
        task, priority=job.priority, queue_name=job.queue, backend=backend or job.arguments["backend"],
        run_after=datetime.fromisoformat(run_after) if run_after else None,
    )  # fmt: skip


def of_chain(attempts: Sequence[Job], task: Task[Any, Any]) -> TaskResult[Any]:
    """Return the result of the task by all attempts of its chain, oldest first."""
    first, latest = attempts[0], attempts[-1]
    started = [attempt for attempt in attempts if attempt.started_at is not None]
    result: TaskResult[Any] = TaskResult(
        task=task,
        id=str(first.pk),
        status=STATUSES[Status(latest.attempt_status)],
        enqueued_at=first.created_at,
        started_at=started[0].started_at if started else None,
        last_attempted_at=started[-1].started_at if started else None,
        finished_at=None if latest.is_open else latest.completed_at,
        args=first.arguments["args"],
        kwargs=first.arguments["kwargs"],
        backend=task.backend,
        errors=[_error(attempt) for attempt in attempts if attempt.ended_as in {Status.FAILED, Status.CANCELLED}],
        worker_ids=[attempt.worker for attempt in started],
    )
    if latest.attempt_status == Status.COMPLETED:
        set_return_value(result, latest.result)
    return result


def _error(attempt: Job) -> TaskError:
    """Return why the attempt failed. Without a traceback, no exception of the task has ended it."""
    message = attempt.error_message or f"Cancelled by {attempt.cancelled_by}. {attempt.cancel_reason}".strip()
    if not attempt.error_traceback:
        return TaskError(exception_class_path=f"{__name__}.{AttemptEnded.__name__}", traceback=message)
    return TaskError(
        exception_class_path=_class_path(attempt.error_traceback, message.partition(":")[0]),
        traceback=attempt.error_traceback,
    )


def _class_path(traceback: str, name: str) -> str:
    """Return the dotted name of the exception's class, which has this name, from the last lines of its traceback."""
    for line in reversed(traceback.splitlines()):
        path = line.lstrip(" |").partition(":")[0]
        if path.rpartition(".")[2] == name:
            return path if "." in path else f"builtins.{path}"
    return f"{__name__}.{AttemptEnded.__name__}"
