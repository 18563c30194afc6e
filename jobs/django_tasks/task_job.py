"""The kind of job that calls a task of a host project, and its creation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task, TaskContext, TaskResult
from django_tasks.exceptions import InvalidTaskError
from django_tasks.signals import task_enqueued, task_finished, task_started
from django_tasks.utils import normalize_json

from flagsite.core import actor
from flagsite.core.storable_text import is_storable_json
from jobs.django_tasks import results
from jobs.django_tasks.results import KIND
from jobs.engine import chains, lifecycle
from jobs.engine.kinds import DEFAULT_ATTEMPT_SECONDS, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import PermanentFailure, ResultTooLarge, UnknownQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(TaskContext):
    """The context of a task that takes it. `run` is the engine's interface: progress, checkpoint, check, artifacts."""

    run: Run


def enqueue(
    backend: BaseTaskBackend, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> TaskResult[Any]:
    """Create the job of a valid task in the caller's transaction. Raises InvalidTaskError, ValueError, TypeError."""
    arguments = {"task": task.module_path, "backend": backend.alias, **_as_json({"args": args, "kwargs": kwargs})}
    if task.run_after is not None:
        arguments["run_after"] = task.run_after.isoformat()
    context = actor.current()
    try:
        with transaction.atomic():
            job = lifecycle.create(
                kind=KIND, queue=task.queue_name, arguments=arguments, trigger=Job.Trigger.EVENT,
                requested_by=context.actor if context.has_actor else "", correlation_id=context.correlation_id,
                priority=task.priority, run_at=task.run_after,
            )  # fmt: skip
    except UnknownQueue as error:
        raise InvalidTaskError(error.detail) from error
    result = results.of_chain([job], task)
    task_enqueued.send(type(backend), task_result=result)
    if settings.JOBS_INLINE:
        result.refresh()
    return result


def _as_json(value: Any) -> Any:
    """Return the value as it comes back from the database. Raises TypeError or ValueError if it cannot be stored."""
    value = normalize_json(value)
    if not is_storable_json(value):
        raise ValueError("NUL, NaN, infinite numbers and half characters cannot be stored.")
    return json.loads(json.dumps(value))


def _tell_end(job: Job, _: str) -> None:
    transaction.on_commit(partial(_send_finished, job.root_id), robust=True)


def _send_finished(root_id: int) -> None:
    attempts = list(Job.objects.of_chain(root_id))
    task = results.task_of(attempts[0])
    task_finished.send_robust(type(task.get_backend()), task_result=results.of_chain(attempts, task))


def _is_end_awaited() -> bool:
    """Return whether somebody receives the ends of tasks, beside the library itself, which only logs them."""
    return len(task_finished.receivers) > 1


@job_kind(
    KIND,
    summary="Call a task of the host project.",
    attempt_seconds=DEFAULT_ATTEMPT_SECONDS,
    on_end=_tell_end,
    follows_success=_is_end_awaited,
    continues=True,
)
def call_task(run: Run) -> None:
    """Call the function of the task with its arguments, and keep what it returns as the result.

    A returned value that cannot be stored is a permanent failure, because a retry would do the work once more. After
    every exception of the function the engine retries.
    """
    attempts = chains.attempts(run.job) if run.job.parent_job_id else [run.job]
    task = results.task_of(run.job)
    result = results.of_chain(attempts, task)
    task_started.send_robust(type(task.get_backend()), task_result=result)
    context = [JobContext(task_result=result, run=run)] if task.takes_context else []
    returned = task.call(*context, *result.args, **result.kwargs)
    try:
        run.set_result(_as_json(returned))
    except (TypeError, ValueError, ResultTooLarge) as error:
        why = error.detail if isinstance(error, ResultTooLarge) else str(error)
        raise PermanentFailure(f"{task.module_path} has returned what cannot be stored. {why}") from error
