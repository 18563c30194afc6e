"""Jobs in the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from jobs import operations, queue_admin, worker_admin  # noqa: F401 - each registers its pages
from jobs.errors import NotCancellable, NotRetryable
from jobs.models import Job, JobQuerySet
from orgs.models import Role
from orgs.operator_admin import OperatorAdmin, may


@admin.register(Job)
class JobAdmin(OperatorAdmin):
    """What runs, what failed and why; jobs change by the actions alone."""

    organization_field = "organization_id"
    list_display = [
        "id", "kind", "status", "organization_id", "arguments", "progress", "retry_count", "requested_by", "created_at",
    ]  # fmt: skip
    list_filter = ["status", "kind", "queue", "trigger"]
    search_fields = ["=id", "=organization__id", "correlation_id"]
    ordering = ["-id"]
    actions = ["retry", "cancel"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in Job._meta.fields]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return may(request, Role.OPERATOR)

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        failed = f", {job.failed} failed" if job.failed else ""
        return f"{job.processed} of {'?' if job.total is None else job.total}{failed}"

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: JobQuerySet) -> None:
        self._each(request, jobs, operations.retry, "retried")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: JobQuerySet) -> None:
        self._each(request, jobs, operations.cancel, "cancelled")

    def _each(self, request: HttpRequest, jobs: JobQuerySet, act: Any, done: str) -> None:
        """Do it to each job; say how many it was done to, and why not to the others."""
        count = 0
        for job_id in jobs.values_list("pk", flat=True):
            try:
                act(job_id=job_id, by=f"user:{request.user}")
                count += 1
            except (NotRetryable, NotCancellable) as error:
                self.message_user(request, error.detail, messages.WARNING)
        self.message_user(request, f"{count} {done}.")
