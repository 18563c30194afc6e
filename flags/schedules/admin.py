"""The admin site's pages of scheduled changes: list, agenda of a month, form, details, and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from flags.schedules import schedule_operations
from flags.schedules.agenda import month_of
from flags.schedules.console import what
from flags.schedules.forms import ScheduleForm
from flags.schedules.models import FlagSchedule
from flags.schedules.schedule_plan import plan_of
from flags.schedules.selectors import schedules_of
from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.db.clock import now
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import (
    OperatorAdmin,
    SingleCountChangeList,
    came_from,
    may,
    one_click_button,
    require_caller,
)
from orgs.access.organization_picker import set_caller
from orgs.access.visible_organizations import is_named_by, visible_organizations
from orgs.audit import audit_log
from orgs.audit.models import AuditEntry
from orgs.tree.paths import path_names_of

MAX_SELECTED = 1_000
"""Scheduled changes on which one operation of a list is carried out."""
MAX_SHOWN_ROWS = 100
"""Occurrences, and audit entries, on the page of a scheduled change."""


@dataclass(frozen=True, slots=True)
class ScheduleOperation:
    """An operation on scheduled changes, with its descriptions for pages."""

    name: str
    done: str
    explained: str
    role: Role
    do: Callable[..., FlagSchedule]


OPERATIONS = {
    "cancel": ScheduleOperation(
        name="cancel",
        done="cancelled",
        explained="If a recurring change waits for its time, all later occurrences are cancelled too.",
        role=Role.EDITOR,
        do=schedule_operations.cancel,
    ),
    "retry": ScheduleOperation(
        name="retry now",
        done="will be tried within seconds",
        explained="Flagsite tries a failed change again within seconds, with all its automatic retries.",
        role=Role.OPERATOR,
        do=schedule_operations.retry,
    ),
}


class ScheduleList(SingleCountChangeList):
    """A page of the list, with the texts that describe each scheduled change."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        describe(list(self.result_list), require_caller(request))
        may_retry, may_cancel = (
            self.model_admin.has_retry_permission(request),
            self.model_admin.has_cancel_permission(request),
        )
        for schedule in self.result_list:
            schedule.may_retry = may_retry and schedule.status == FlagSchedule.Status.FAILED
            schedule.may_cancel = may_cancel and schedule.is_open


@admin.register(FlagSchedule)
class FlagScheduleAdmin(OperatorAdmin):
    """The pages of scheduled changes. A person creates one with a form; only operations change it later."""

    add_role = Role.EDITOR
    empty_hint = "A scheduled change sets a flag at a later time, once or again and again."
    organization_field = "organization_id"
    paginator = CappedPaginator
    list_display = [
        "number", "when", "flag_key", "new_value", "where", "state", "recurs", "created_by", "last_error", "buttons",
    ]  # fmt: skip
    list_display_links = None
    list_filter = ["status", "scheduled_at"]
    list_filter_submit = True
    list_before_template = "admin/flags/schedules/list_links.html"
    search_fields = ["flag_key"]
    search_help_text = "A flag's key, a schedule's id, an organization's key, or a correlation id"
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions = ["cancel", "retry"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlagSchedule]:
        return ModelAdmin.get_queryset(self, request) & schedules_of(require_caller(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleList]:
        return ScheduleList

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, OPERATIONS["cancel"].role)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, OPERATIONS["retry"].role)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FlagSchedule], search_term: str
    ) -> tuple[QuerySet[FlagSchedule], bool]:
        """Find schedules by flag key, organization key, correlation id or id. The term has to match completely."""
        term = search_term.strip()
        if not term:
            return queryset, False
        visible = visible_organizations(require_caller(request)).filter(is_named_by(term))
        organization_ids = list(visible.values_list("pk", flat=True))
        matches = Q(flag_key=term) | Q(organization_id__in=organization_ids) | Q(correlation_id=term)
        return queryset.filter(matches | Q(pk=id_in(term) or 0)), False

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="schedule")
    def number(self, schedule: FlagSchedule) -> SafeString:
        address = reverse("admin:flags_flagschedule_change", args=[schedule.pk])
        return format_html('<a class="fs-link" href="{}">{}</a>', address, schedule.pk)

    @admin.display(description="when (UTC)")
    def when(self, schedule: FlagSchedule) -> str:
        return f"{schedule.scheduled_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="what")
    def new_value(self, schedule: FlagSchedule) -> str:
        return what(schedule)

    @admin.display(description="where")
    def where(self, schedule: FlagSchedule) -> str:
        return str(schedule.where)  # type: ignore[attr-defined]

    @admin.display(description="status")
    def state(self, schedule: FlagSchedule) -> SafeString:
        retry = f"retry at {schedule.next_retry_at:%Y-%m-%d %H:%M:%S}" if schedule.next_retry_at else ""
        badge = '<span class="fs-status fs-status-{}">{}</span> <span class="fs-note">{}</span>'
        return format_html(badge, schedule.status, schedule.status, retry)

    @admin.display(description="recurs")
    def recurs(self, schedule: FlagSchedule) -> str:
        return f"{schedule.cron} ({schedule.time_zone})" if schedule.cron else "–"

    @admin.display(description="actions")
    def buttons(self, schedule: FlagSchedule) -> SafeString | str:
        """The button that retries at once, and the link to the page that asks before it cancels."""
        subject, buttons = f"scheduled change {schedule.pk}", []
        if schedule.may_retry:  # type: ignore[attr-defined]
            address = reverse("admin:flags_flagschedule_do", args=[schedule.pk, "retry"])
            buttons.append(one_click_button("retry", "Retry now", subject, address))
        if schedule.may_cancel:  # type: ignore[attr-defined]
            address = reverse("admin:flags_flagschedule_do", args=[schedule.pk, "cancel"])
            link = '<a class="fs-button" href="{}">Cancel<span class="fs-unseen"> {}</span></a>'
            buttons.append(format_html(link, address, subject))
        if not buttons:
            return ""
        return format_html('<span class="fs-row">{}</span>', format_html_join("", "{}", ((each,) for each in buttons)))

    # --- Operations ---------------------------------------------------------------------------------------------------

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, schedules: QuerySet[FlagSchedule]) -> HttpResponse | None:
        return self._do(request, schedules, OPERATIONS["cancel"])

    @admin.action(description="Retry now", permissions=["retry"])
    def retry(self, request: HttpRequest, schedules: QuerySet[FlagSchedule]) -> HttpResponse | None:
        return self._do(request, schedules, OPERATIONS["retry"])

    def operation_view(self, request: HttpRequest, object_id: int, operation: str) -> HttpResponse:
        """Ask for the reason, then carry out the operation on one scheduled change."""
        if operation not in OPERATIONS:
            raise Http404
        if not (self.has_view_permission(request) and may(request, OPERATIONS[operation].role)):
            raise PermissionDenied
        back = reverse("admin:flags_flagschedule_change", args=[self._schedule(request, object_id).pk])
        one = self.get_queryset(request).filter(pk=object_id)
        done = self._do(request, one, OPERATIONS[operation], back=back)
        return done or HttpResponseRedirect(came_from(request, back))

    def _do(
        self, request: HttpRequest, schedules: QuerySet[FlagSchedule], operation: ScheduleOperation, *, back: str = ""
    ) -> HttpResponse | None:
        """Ask for the reason, then carry out the operation on each scheduled change and show the results."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        ids = list(schedules.order_by("-id").values_list("pk", flat=True)[:MAX_SELECTED])
        if not form.is_valid():
            count = f"{len(ids):,} {'scheduled change' if len(ids) == 1 else 'scheduled changes'}"
            context = {
                "title": f"{operation.name.capitalize()}: {count}", "operation": operation, "form": form,
                "ids": ids, "count": count, "action": request.POST.get("action", ""),
                "back": back or request.get_full_path(),
            }  # fmt: skip
            return TemplateResponse(request, "admin/flags/schedules/confirm.html", self._frame(request) | context)
        caller = require_caller(request)
        refused: Counter[str] = Counter()
        for schedule_id in ids:
            try:
                operation.do(schedule_id=schedule_id, by=caller.name, reason=form.cleaned_data["reason"])
            except FlagsiteError as error:
                refused[error.detail] += 1
        if done := len(ids) - refused.total():
            self.message_user(request, f"{done:,} {operation.done}.")
        for detail in list(refused)[:10]:
            self.message_user(request, detail, messages.WARNING)
        if refused.total() > 10:  # noqa: PLR2004
            self.message_user(request, f"{refused.total():,} were skipped.", messages.WARNING)
        return None

    # --- Pages --------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("agenda/", view(only_reads(self.agenda_view)), name="flags_flagschedule_agenda"),
            path("<int:object_id>/<slug:operation>/do/", view(self.operation_view), name="flags_flagschedule_do"),
            *super().get_urls(),
        ]

    def agenda_view(self, request: HttpRequest) -> HttpResponse:
        """The scheduled changes of a month, day by day."""
        caller = self.require_viewer(request)
        current_time = now()
        try:
            first = date.fromisoformat(f"{request.GET['month']}-01") if "month" in request.GET else current_time.date()
            month = month_of(self.get_queryset(request), first.replace(day=1))
        except (ValueError, OverflowError):
            raise Http404 from None
        describe([entry.schedule for day in month.days for entry in day.entries], caller)
        context = {
            "title": f"Scheduled changes in {month.first:%B %Y}", "month": month, "today": current_time.date(),
            "may_add": self.has_add_permission(request),
        }  # fmt: skip
        return TemplateResponse(request, "admin/flags/schedules/agenda.html", self._frame(request) | context)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Schedule a change with a form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        initial = {name: request.GET[name] for name in ("flag", "organization") if name in request.GET}
        form = ScheduleForm(request.POST if request.method == "POST" else None, initial=initial)
        set_caller(form, require_caller(request))
        if request.method == "POST" and form.is_valid():
            try:
                schedules = form.plan(require_caller(request))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                numbers = " and ".join(str(schedule.pk) for schedule in schedules)
                self.message_user(request, f"The change is scheduled: {numbers}.")
                return HttpResponseRedirect(reverse("admin:flags_flagschedule_change", args=[schedules[0].pk]))
        context = {"title": "Schedule a change", "form": form}
        return TemplateResponse(request, "admin/flags/schedules/add.html", self._frame(request) | context)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show one scheduled change with its result, its occurrences and its audit entries."""
        caller = self.require_viewer(request)
        schedule = self._schedule(request, id_in(object_id) or 0)
        describe([schedule], caller)
        first = schedule.series_id or schedule.pk
        series = self.get_queryset(request).filter(Q(pk=first) | Q(series_id=first)).order_by("-scheduled_at")
        context = {
            "title": f"Scheduled change {schedule.pk}",
            "schedule": schedule,
            "what": what(schedule),
            "authors_scope": _authors_scope(schedule, caller),
            "state": _status_words(schedule),
            "plan": _plan_in_words(schedule, caller),
            "series": series[:MAX_SHOWN_ROWS] if schedule.cron else [],
            "entries": _entries_about(schedule, caller)[:MAX_SHOWN_ROWS],
            "may_cancel": schedule.is_open and self.has_cancel_permission(request),
            "may_retry": schedule.status == FlagSchedule.Status.FAILED and self.has_retry_permission(request),
        }
        return TemplateResponse(request, "admin/flags/schedules/page.html", self._frame(request) | context)

    def _schedule(self, request: HttpRequest, schedule_id: int) -> FlagSchedule:
        schedule: FlagSchedule | None = self.get_queryset(request).filter(pk=schedule_id).first()
        if schedule is None:
            raise Http404
        return schedule

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return {**self.admin_site.each_context(request), "opts": self.opts}


def describe(schedules: list[FlagSchedule], caller: Caller) -> None:
    """Add the attributes `what` and `where` to each schedule, as texts, with two queries for all schedules.

    An author also sees what was planned for an organization that is in another subtree by now, but not its name.
    """
    organization_ids = {schedule.organization_id for schedule in schedules if schedule.organization_id is not None}
    hidden = "deleted" if caller.organization_id is None else "deleted or outside of your subtree"
    names = _visible_path_names(organization_ids, caller)
    for schedule in schedules:
        organization_id = schedule.organization_id
        path_text = " › ".join(names[organization_id]) if organization_id in names else f"{organization_id}, {hidden}"
        schedule.where = "the definition" if organization_id is None else path_text  # type: ignore[attr-defined]
        schedule.what = what(schedule)  # type: ignore[attr-defined]


def _visible_path_names(organization_ids: set[int], caller: Caller) -> dict[int, list[str]]:
    """Return the names on the paths of those organizations that the caller may see."""
    if caller.organization_id is not None:
        visible = visible_organizations(caller).filter(pk__in=organization_ids)
        organization_ids = set(visible.values_list("pk", flat=True))
    return path_names_of(organization_ids, top_id=caller.organization_id)


def _authors_scope(schedule: FlagSchedule, caller: Caller) -> str:
    """Return the organization to which the author was bound, in words; empty for an author without a scope."""
    if schedule.author_organization_id is None:
        return ""
    names = _visible_path_names({schedule.author_organization_id}, caller)
    return " › ".join(names.get(schedule.author_organization_id, ["an organization outside of your subtree"]))


def _entries_about(schedule: FlagSchedule, caller: Caller) -> QuerySet[AuditEntry]:
    """Return the audit entries; without those of the others, if the organization has left the caller's scope."""
    entries = audit_log.entries_about(schedule.subject)
    if caller.organization_id is None or visible_organizations(caller).filter(pk=schedule.organization_id).exists():
        return entries
    return entries.filter(actor=schedule.created_by)


def _plan_in_words(schedule: FlagSchedule, caller: Caller) -> list[str]:
    """Return what an open change would do now; nothing if the person may not make such a change."""
    if not schedule.is_open or not caller.may(Role.EDITOR):
        return []
    try:
        return plan_of(caller, schedule).in_words
    except FlagsiteError:
        return []


def _status_words(schedule: FlagSchedule) -> str:
    retry = f", retry at {schedule.next_retry_at:%Y-%m-%d %H:%M:%S} UTC" if schedule.next_retry_at else ""
    return f"{schedule.status}{retry}"
