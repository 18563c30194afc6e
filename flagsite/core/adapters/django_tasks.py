"""django-tasks: a result with the value that its task has returned, and a task as a job has stored it.

Why: the library's own backends write the value into a private field of `TaskResult`, and there is no other way. And
`Task.using` checks the queue and the priority again, by the settings of now. But a job that was accepted has to run,
although TASKS does not list its queue any more, or an operator has given it a priority beyond the limits of tasks.

Private names: `TaskResult._return_value`.

At an upgrade check: `TaskResult.return_value` returns `_return_value` if the status is SUCCESSFUL, and `refresh` copies
it from the result that the backend returns. `Task` is a frozen dataclass whose check is in `__post_init__` only.
"""

from __future__ import annotations

import copy
from typing import Any

from django_tasks.base import Task, TaskResult

DISTRIBUTION = "django-tasks"
CHECKED_VERSION = "0.12.0"


def set_return_value(result: TaskResult[Any], value: Any) -> None:
    """Let the result have this value as its `return_value`."""
    object.__setattr__(result, "_return_value", value)  # the class is frozen


def task_with(task: Task[Any, Any], **fields: Any) -> Task[Any, Any]:
    """Return a copy of the task with these fields, without checking them."""
    changed = copy.copy(task)
    for name, value in fields.items():
        object.__setattr__(changed, name, value)  # the class is frozen
    return changed
