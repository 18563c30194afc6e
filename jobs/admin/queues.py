"""The admin site's pages of queues: the status of each queue, pause and resume, and the settings."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flagsite.core.admin.reason_form import ReasonForm, reason_field
from jobs.engine.models import Queue
from jobs.operations import queue_operations
from orgs.access.live_pages import LiveListAdmin
from orgs.access.models import Role
from orgs.access.operator_admin import caller_of, may


class QueueOperationForm(ReasonForm):
    """The form for the reason of a pause or a resume."""

    reason = reason_field(help_text="Optional. Shown on the page of queues and kept in the audit log.")


@admin.register(Queue)
class QueueAdmin(LiveListAdmin):
    """The pages of queues. New settings count from the next claim or the next failure on."""

    change_role = Role.OPERATOR
    fields = queue_operations.SETTINGS
    page_template = "admin/jobs/queue/list.html"
    live_template = "admin/jobs/queue/table.html"

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "queue_statuses": queue_operations.queue_statuses(),
            "with_settings": True,
            "may_operate": self.has_change_permission(request),
        }

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:name>/pause/", view(self.pause_view), name="jobs_queue_pause"),
            path("<path:name>/resume/", view(self.resume_view), name="jobs_queue_resume"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        changed = {field: form.cleaned_data[field] for field in queue_operations.SETTINGS if field in form.changed_data}
        queue_operations.change(obj.pk, by=_name_of(request), **changed)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing, because `queue_operations.change` has written the audit entry."""

    def pause_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for the reason, then pause the queue."""
        return self._pause_or_resume(request, name, "pause")

    def resume_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask for a reason, then resume the queue."""
        return self._pause_or_resume(request, name, "resume")

    def _pause_or_resume(self, request: HttpRequest, name: str, action: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        queue = self.get_object(request, unquote(name))
        if queue is None:
            raise Http404
        form = QueueOperationForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            function = queue_operations.pause if action == "pause" else queue_operations.resume
            function(queue.pk, by=_name_of(request), reason=form.cleaned_data["reason"])
            self._show_result(request, queue, action)
            return HttpResponseRedirect(reverse("admin:jobs_queue_changelist"))
        frame = self.admin_site.each_context(request)
        context = {"opts": self.opts, "title": f"{action.title()} queue {queue.pk}", "queue": queue, "action": action}
        return TemplateResponse(request, "admin/jobs/queue/act.html", frame | context | {"form": form})

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
