"""The admin site's pages of queues: status, creation, settings, pause, resume and deletion of each queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flagsite.core.admin.reason_form import ReasonForm, reason_field
from flagsite.core.errors import FlagsiteError
from jobs.engine.models import Queue
from jobs.operations import queue_operations
from orgs.access.live_pages import LiveListAdmin
from orgs.access.models import Role
from orgs.access.operator_admin import caller_of, may

LABELS = {
    "max_retries": "Automatic retries",
    "backoff_type": "Backoff",
    "backoff_base": "Factor of the backoff",
    "backoff_delay": "First wait (seconds)",
    "backoff_jitter": "Random share of the backoff",
    "rate_allowed": "Starts allowed",
    "rate_seconds": "Time for these starts (seconds)",
    "is_fair": "Fair between organizations",
}
"""The labels of fields of the form whose names are for programs."""


class QueueOperationForm(ReasonForm):
    """The form for the reason of a pause or a resume."""

    reason = reason_field(help_text="Optional. Shown on the page of queues and kept in the audit log.")


@admin.register(Queue)
class QueueAdmin(LiveListAdmin):
    """The pages of queues. New settings count from the next claim or the next failure on."""

    add_role = Role.OPERATOR
    change_role = Role.OPERATOR
    fields = queue_operations.SETTINGS
    page_template = "admin/jobs/queue/list.html"
    live_template = "admin/jobs/queue/table.html"

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "queue_statuses": queue_operations.queue_statuses(),
            "with_settings": True,
            "kept_queues": queue_operations.queues_of_kinds(),
            "may_operate": self.has_change_permission(request),
        }

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:name>/pause/", view(self.pause_view), name="jobs_queue_pause"),
            path("<path:name>/resume/", view(self.resume_view), name="jobs_queue_resume"),
            path("<path:name>/delete/", view(self.remove_view), name="jobs_queue_remove"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        return self.fields if obj else ("name", *self.fields)

    def get_form(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        return super().get_form(request, *args, labels=LABELS, **options)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if not change:
            values = {field: form.cleaned_data[field] for field in queue_operations.SETTINGS}
            queue_operations.create(obj.pk, by=_name_of(request), **values)
            return
        changed = {field: form.cleaned_data[field] for field in queue_operations.SETTINGS if field in form.changed_data}
        queue_operations.change(obj.pk, by=_name_of(request), **changed)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing, because `queue_operations.create` has written the audit entry."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing, because `queue_operations.change` has written the audit entry."""

    def pause_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for the reason, then pause the queue."""
        return self._pause_or_resume(request, name, "pause")

    def resume_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for a reason, then resume the queue."""
        return self._pause_or_resume(request, name, "resume")

    def remove_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for a reason, then delete the queue."""
        queue, form = self._asked(request, name, ReasonForm)
        if request.method == "POST" and form.is_valid():
            try:
                queue_operations.delete(queue.pk, by=_name_of(request), reason=form.cleaned_data["reason"])
            except FlagsiteError as error:
                self.message_user(request, error.detail, messages.ERROR)
            else:
                self.message_user(request, f"Queue {queue.pk} is deleted.")
            return HttpResponseRedirect(reverse("admin:jobs_queue_changelist"))
        return self._question(request, queue, "delete", form)

    def _asked(self, request: HttpRequest, name: str, form: type[ReasonForm]) -> tuple[Queue, ReasonForm]:
        """Return the queue and the form of an operation. Raises PermissionDenied, Http404."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        queue = self.get_object(request, unquote(name))
        if queue is None:
            raise Http404
        return queue, form(request.POST if request.method == "POST" else None)

    def _question(self, request: HttpRequest, queue: Queue, action: str, form: ReasonForm) -> HttpResponse:
        frame = self.admin_site.each_context(request)
        context = {"opts": self.opts, "title": f"{action.title()} queue {queue.pk}", "queue": queue, "action": action}
        return TemplateResponse(request, "admin/jobs/queue/act.html", frame | context | {"form": form})

    def _pause_or_resume(self, request: HttpRequest, name: str, action: str) -> HttpResponse:
        queue, form = self._asked(request, name, QueueOperationForm)
        if request.method == "POST" and form.is_valid():
            function = queue_operations.pause if action == "pause" else queue_operations.resume
            function(queue.pk, by=_name_of(request), reason=form.cleaned_data["reason"])
            self._show_result(request, queue, action)
            return HttpResponseRedirect(reverse("admin:jobs_queue_changelist"))
        return self._question(request, queue, action, form)

    def _show_result(self, request: HttpRequest, before: Queue, action: str) -> None:
        if action == "pause" and before.paused_at:
            text = f"Queue {before.pk} was paused already by {before.paused_by}; the earlier reason stays."
            self.message_user(request, text, messages.WARNING)
        elif action == "resume" and not before.paused_at:
            self.message_user(request, f"Queue {before.pk} was not paused; nothing was changed.", messages.WARNING)
        else:
            self.message_user(request, f"Queue {before.pk} is {'paused' if action == 'pause' else 'open'}.")


def _name_of(request: HttpRequest) -> str:
    caller = caller_of(request)
    if caller is None or not may(request, Role.OPERATOR):
        raise PermissionDenied
    return caller.name
