"""Queues in the admin site: how long each line is, and what people may do to it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from flagsite.core.actor import MAX_REASON_LENGTH
from flagsite.core.admin.reason_form import ReasonForm, reason_field
from jobs.engine.models import Queue
from jobs.operations import queue_operations
from orgs.access.live_pages import LiveListAdmin
from orgs.access.models import Role
from orgs.access.operator_admin import caller_of, may


class QueueOperationForm(ReasonForm):
    """The reason for a pause, or for its end, where it may stay empty."""

    reason = reason_field(help_text="Whoever wonders why reads it, on the page of queues and in the audit log.")

    def __init__(self, *args: Any, required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = required
        self.fields["reason"].label = "Reason" if required else "Reason (optional)"


class QueueForm(forms.ModelForm):
    """A queue's settings, and why they change."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Kept in the audit log.",
    )

    class Meta:
        model = Queue
        fields = queue_operations.SETTINGS


@admin.register(Queue)
class QueueAdmin(LiveListAdmin):
    """Pause and resume; concurrency, retries and backoff, which count from the next claim or failure on."""

    change_role = Role.OPERATOR
    form = QueueForm
    fields = [*queue_operations.SETTINGS, "reason"]
    page_template = "admin/jobs/queue/list.html"
    live_template = "admin/jobs/queue/lines.html"

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "lines": queue_operations.queue_statuses(),
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

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if self.has_change_permission(request, obj) else queue_operations.SETTINGS

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        changed = {field: form.cleaned_data[field] for field in queue_operations.SETTINGS if field in form.changed_data}
        queue_operations.change(obj.pk, by=_name_of(request), reason=form.cleaned_data["reason"], **changed)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit log has it already."""

    def pause_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask why, then pause."""
        return self._act(request, name, "pause")

    def resume_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask why, then resume."""
        return self._act(request, name, "resume")

    def _act(self, request: HttpRequest, name: str, action: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        queue = self.get_object(request, unquote(name))
        if queue is None:
            raise Http404
        form = QueueOperationForm(request.POST if request.method == "POST" else None, required=action == "pause")
        if request.method == "POST" and form.is_valid():
            act = queue_operations.pause if action == "pause" else queue_operations.resume
            act(queue.pk, by=_name_of(request), reason=form.cleaned_data["reason"])
            self._say(request, queue, action)
            return HttpResponseRedirect(reverse("admin:jobs_queue_changelist"))
        frame = self.admin_site.each_context(request)
        asked = {"opts": self.opts, "title": f"{action.title()} queue {queue.pk}", "queue": queue, "action": action}
        return TemplateResponse(request, "admin/jobs/queue/act.html", frame | asked | {"form": form})

    def _say(self, request: HttpRequest, before: Queue, action: str) -> None:
        if action == "pause" and before.paused_at:
            by = f"was paused already by {before.paused_by}; their reason stands."
            self.message_user(request, f"Queue {before.pk} {by}", messages.WARNING)
        elif action == "resume" and not before.paused_at:
            self.message_user(request, f"Queue {before.pk} was not paused; nothing was done.", messages.WARNING)
        else:
            self.message_user(request, f"Queue {before.pk} is {'paused' if action == 'pause' else 'open again'}.")


def _name_of(request: HttpRequest) -> str:
    caller = caller_of(request)
    if caller is None or not may(request, Role.OPERATOR):
        raise PermissionDenied
    return caller.name
