"""The backend that a host project names in TASKS. Its tasks become jobs of the kind `django_task`.

A host project may import this module before the models are loaded, because the decorator `task` needs the backend. So
the module imports the engine only when somebody calls the backend.
"""

from __future__ import annotations

from typing import Any

from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task, TaskResult


class JobBackend(BaseTaskBackend):
    """Enqueues each task as a job, with the retries, the limits and the pages of all jobs."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Create the job in the caller's transaction, and return its result, whose id is the id of the job.

        Raises InvalidTaskError, for example for a queue that does not exist, or ValueError or TypeError for arguments
        that cannot be stored as JSON.
        """
        from jobs.django_tasks import task_job  # noqa: PLC0415 - the models may not be loaded when this module is

        self.validate_task(task)
        return task_job.enqueue(self, task, args, kwargs)

    def get_result(self, result_id: str) -> TaskResult[Any]:
        """Read how the task stands. Raises TaskResultDoesNotExist, also after the clean-up has deleted the job."""
        from jobs.django_tasks import results  # noqa: PLC0415 - the models may not be loaded when this module is

        return results.find(self, result_id)
