"""The admin site's page that enqueues a job: a person chooses a kind, and fills in the form of the kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action as theme_action

from flagsite.core.admin.date_time_text import DateTimeText
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.api.times import FIRST_YEAR, LAST_YEAR
from flagsite.core.errors import FlagsiteError
from jobs.admin.schema_form import ArgumentsForm
from jobs.engine.kinds import JobKind, enqueueable_kinds
from jobs.engine.models import Job, Queue
from jobs.errors import UnknownKind
from jobs.operations.enqueue import MAX_UNIQUE_KEY_LENGTH, Enqueued, enqueue_for, enqueueable
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, may, require_caller
from orgs.access.organization_picker import OrganizationField, set_caller

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object


class EnqueueForm(forms.Form):
    """What every job has, whatever its kind."""

    organization = OrganizationField(
        required=False,
        help_text="The organization for which the job works, with everything below it. Type a part of the name, or the "
        "key. Empty: everything that you see.",
    )
    queue = forms.ChoiceField(required=False)
    run_at = DateTimeText(label="Run at (UTC)", required=False, help_text="Empty: now.")
    priority = forms.IntegerField(
        required=False,
        min_value=LOWEST_PRIORITY,
        max_value=HIGHEST_PRIORITY,
        help_text="Higher runs first. Empty: 5.",
    )
    unique_key = forms.CharField(
        required=False,
        max_length=MAX_UNIQUE_KEY_LENGTH,
        help_text="Optional. As long as a job of this kind with the key is open, no second one is created.",
    )
    replace = forms.BooleanField(
        required=False,
        label="Replace the waiting job",
        help_text="If a job with the key waits and has not begun, it gets these arguments and this time.",
    )
    reason = reason_field()

    def __init__(self, kind: JobKind, caller: Caller, data: Any = None) -> None:
        super().__init__(data)
        set_caller(self, caller)
        if not kind.of_organization:
            del self.fields["organization"]
        if kind.concurrency_key is not None or caller.organization_id is not None:
            del self.fields["queue"]
        else:
            names = Queue.objects.order_by("name").values_list("name", flat=True)
            self.fields["queue"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
            self.fields["queue"].initial = kind.queue

    def clean_run_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["run_at"]
        if at is None:
            return None
        if not FIRST_YEAR < at.year < LAST_YEAR:
            raise forms.ValidationError(f"Write a time of the years {FIRST_YEAR} to {LAST_YEAR}.")
        return timezone.make_aware(at, UTC) if timezone.is_naive(at) else at


def kinds_for(caller: Caller) -> list[JobKind]:
    """Return the kinds of jobs that the caller may enqueue."""
    return [kind for kind in enqueueable_kinds() if caller.organization_id is None or kind.of_organization]


class EnqueuePages(Pages):
    """The mixin that adds the page to the pages of jobs."""

    def has_enqueue_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, Role.OPERATOR)

    @theme_action(description="Enqueue a job", url_path="enqueue", permissions=["enqueue"])
    def enqueue(self, request: HttpRequest) -> HttpResponse:
        """List the kinds. With a kind, show its form; a POST of this form enqueues the job, and shows its page."""
        if not self.has_enqueue_permission(request):
            raise PermissionDenied
        caller = require_caller(request)
        context: dict[str, Any] = {"title": "Enqueue a job", "kinds": kinds_for(caller)}
        name = request.GET.get("kind")
        if name:
            kind = _kind(name, caller)
            data = request.POST if request.method == "POST" else None
            form, arguments = EnqueueForm(kind, caller, data), ArgumentsForm(kind, data)
            if request.method == "POST" and form.is_valid() and arguments.is_valid():
                try:
                    return self._show(request, enqueue_as(caller, kind, form, arguments), form.cleaned_data["reason"])
                except FlagsiteError as error:
                    form.add_error(None, error.detail)
            context |= {"title": f"Enqueue a job: {kind.name}", "kind": kind, "form": form, "arguments": arguments}
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/jobs/job/enqueue.html", frame | context)

    def _show(self, request: HttpRequest, done: Enqueued, reason: str) -> HttpResponse:
        text = f"Job {done.job.pk} is enqueued in the queue {done.job.queue}."
        if done.is_replaced:
            text = f"Job {done.job.pk} waited with this unique key, and does now what you ask for."
        elif done.is_deduplicated:
            text = f"Job {done.job.pk} has this unique key already, so no second job is created."
        self.message_user(request, text)
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[done.job.pk]))


def enqueue_as(caller: Caller, kind: JobKind, form: EnqueueForm, arguments: ArgumentsForm) -> Enqueued:
    """Enqueue the job of two valid forms. Raises the errors of `enqueue_for`."""
    values = form.cleaned_data
    organization = values.get("organization")
    return enqueue_for(
        caller,
        kind=kind.name,
        arguments=arguments.arguments,
        organization=organization.pk if organization else None,
        trigger=Job.Trigger.ADMIN,
        queue=values.get("queue", ""),
        run_at=values["run_at"],
        priority=values["priority"],
        unique_key=values["unique_key"],
        replace=values["replace"],
        reason=values["reason"],
    )


def _kind(name: str, caller: Caller) -> JobKind:
    try:
        kind = enqueueable(name)
    except UnknownKind as error:
        raise Http404 from error
    if kind not in kinds_for(caller):
        raise PermissionDenied
    return kind
