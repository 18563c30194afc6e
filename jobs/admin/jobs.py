"""The list of jobs in the admin site, and the operations on those that are ticked or found. One job: `job_page`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.ids import id_in
from jobs.admin import job_page, queues, workers  # noqa: F401 - each registers its pages
from jobs.admin.job_filters import FILTERS
from jobs.admin.job_rows import LIVE, Row, rows_of
from jobs.engine.models import Job, JobQuerySet
from jobs.operations import bulk, bulk_job, job_operations
from jobs.operations.bulk import OPERATIONS, BulkOperation, BulkSelection
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.templatetags.job_figures import work
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, clipped, may, require_caller
from orgs.access.organizations import visible_organizations

MOST_LIVE = 200
MOST_NEW = 100
"""New jobs that are counted while a person looks at the list."""
LONGEST_PATH = 2
"""Names of a path that a row has room for."""
LONGEST_QUERY = 2_000
MOST_NAMED = 100
"""Organizations of one name that a search looks at."""


class OperationForm(ReasonForm):
    """The reason for an operation on jobs, and the priority for the operation that gives one."""

    field_order = ("priority", "reason")
    priority = forms.IntegerField(min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY)

    def __init__(self, operation: BulkOperation, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if operation.name != "priority":
            del self.fields["priority"]


class JobList(SingleCountChangeList):
    """The rows of a page, each with what is known about it elsewhere."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.newest = newest_id()
        rows = rows_of(list(self.result_list), require_caller(request), may_operate=may(request, Role.OPERATOR))
        for job in self.result_list:
            job.row = rows[job.pk]


@admin.register(Job)
class JobAdmin(OperatorAdmin):
    """What runs, what failed and why; jobs change by the operations of `jobs.operations.bulk` alone."""

    organization_field = "organization_id"
    paginator = CappedPaginator
    linked_lookups = frozenset({"parent_job__isnull"})
    list_display = [
        "number", "status_now", "flag", "organization_path", "progress", "took", "line", "asked_by", "buttons",
    ]  # fmt: skip
    list_display_links = None
    list_filter = FILTERS
    list_filter_submit = True
    list_before_template = "admin/jobs/job/list_live.html"
    search_fields = ["id"]
    search_help_text = "A job's number, an organization's key or name, a flag, a correlation id"
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions = ["retry", "cancel", "change_priority"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobList]:
        return JobList

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, Role.OPERATOR)

    def get_search_results(
        self, request: HttpRequest, queryset: JobQuerySet, search_term: str
    ) -> tuple[JobQuerySet, bool]:
        """Whole words only, each of which has an index; a name finds up to a hundred organizations."""
        term = search_term.strip()
        if not term:
            return queryset, False
        seen = visible_organizations(require_caller(request))
        named = seen.filter(Q(key=term) | Q(name__iexact=term)).values_list("pk", flat=True)[:MOST_NAMED]
        found = Q(correlation_id=term) | Q(arguments__featureFlagName=term) | Q(organization_id__in=list(named))
        number = id_in(term)
        return queryset.filter(found | Q(pk=number) if number else found), False

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="job")
    def number(self, job: Job) -> SafeString:
        address = reverse("admin:jobs_job_change", args=[job.pk])
        link = format_html('<a data-job="{}" class="fs-link" href="{}">{}</a>', job.pk, address, job.pk)
        made = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
        return _above(link, format_html('<span title="{} UTC">{}</span>', made, made[len("2026-") :]))

    @admin.display(description="status")
    def status_now(self, job: Job) -> SafeString:
        return _row(job).cell("status")

    @admin.display(description="flag")
    def flag(self, job: Job) -> SafeString | str:
        return work(job)

    @admin.display(description="organization")
    def organization_path(self, job: Job) -> SafeString | str:
        """Its name, below it the end of the path there; the whole path where one points at it."""
        if job.organization_id is None:
            return "–"
        names = _row(job).path or [f"{job.organization_id}, deleted"]
        above = " › ".join(["…", *names[-2:-1]] if len(names) > LONGEST_PATH else names[:-1])
        return format_html('<span title="{}">{}</span>', " › ".join(names), _above(names[-1], above))

    @admin.display(description="progress")
    def progress(self, job: Job) -> SafeString:
        return _row(job).cell("progress")

    @admin.display(description="took")
    def took(self, job: Job) -> SafeString:
        return _above(_row(job).cell("took"), format_html("attempt {}", _row(job).cell("attempt")))

    @admin.display(description="queue")
    def line(self, job: Job) -> SafeString:
        return _above(job.queue, f"priority {job.priority}")

    @admin.display(description="requested by")
    def asked_by(self, job: Job) -> SafeString:
        return _above(clipped(job.requested_by), clipped(job.correlation_id))

    @admin.display(description="actions")
    def buttons(self, job: Job) -> SafeString:
        return _row(job).cell("buttons")

    # --- Operations ---------------------------------------------------------------------------------------------------

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._do(request, jobs, OPERATIONS["retry"])

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._do(request, jobs, OPERATIONS["cancel"])

    @admin.action(description="Change priority", permissions=["operate"])
    def change_priority(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._do(request, jobs, OPERATIONS["priority"])

    def act_view(self, request: HttpRequest, object_id: str, operation: str) -> HttpResponse:
        """Ask why, then do it to this one job."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        jobs = self.get_queryset(request).filter(pk=id_in(unquote(object_id)) or 0)
        if operation not in OPERATIONS or not jobs:
            raise Http404
        back = reverse("admin:jobs_job_change", args=[object_id])
        return self._do(request, jobs, OPERATIONS[operation], back=back) or HttpResponseRedirect(back)

    def _do(
        self, request: HttpRequest, jobs: QuerySet[Job], operation: BulkOperation, *, back: str = ""
    ) -> HttpResponse | None:
        """Ask how many it shall be done to and why; when that is confirmed do it and say what came of it.

        Jobs that were made after the question are not among them. Many are done by a job, which is led to.
        """
        form = OperationForm(operation, request.POST if "confirmed" in request.POST else None)
        newest = id_in(request.POST.get("newest", "")) or newest_id()
        jobs = jobs.filter(pk__lte=newest)
        chosen = bulk.choose(jobs, operation)
        if not form.is_valid():
            shown = self._question(request, jobs, operation, chosen) | {"form": form, "newest": newest}
            shown["back"] = back or request.get_full_path()
            return TemplateResponse(request, "admin/jobs/job/confirm.html", self._frame(request) | shown)
        caller, values = require_caller(request), form.cleaned_data
        if chosen.fitting > bulk.AT_ONCE:
            job = bulk_job.start(
                jobs, operation, chosen, by=caller.name, organization_id=caller.organization_id, **values
            )
            self.message_user(request, f"Job {job.pk} does it to {chosen.fitting:,} jobs; this is its page.")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))
        done = bulk.do_to_each(list(bulk.one_of_each_chain(jobs, operation)), operation, by=caller.name, **values)
        self.message_user(request, f"{done.count:,} {'job was' if done.count == 1 else 'jobs were'} {operation.done}.")
        for words, count in (chosen.skipped + done.skipped).most_common():
            self.message_user(request, f"{count:,} skipped: {bulk.said_of(words, count)}.", messages.WARNING)
        return None

    def _question(
        self, request: HttpRequest, jobs: QuerySet[Job], operation: BulkOperation, chosen: BulkSelection
    ) -> dict[str, Any]:
        across = request.POST.get("select_across") == "1"
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        only = jobs.first() if chosen.matching == 1 else None
        return {
            "title": f"{operation.asked} {chosen.fitting:,} {'job' if chosen.fitting == 1 else 'jobs'}",
            "operation": operation, "chosen": chosen, "opts": self.opts,
            "skipped": [(count, bulk.said_of(words, count)) for words, count in chosen.skipped.most_common()],
            "only": only, "behind": job_operations.left_behind(only) if only and operation.name == "retry" else None,
            "by_a_job": chosen.fitting > bulk.AT_ONCE,
            "action": request.POST.get("action", ""), "across": across, "ticked": ticked[:1] if across else ticked,
        }  # fmt: skip

    # --- Pages --------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("live/", fragment(self.live_view), name="jobs_job_live"),
            path("<int:object_id>/live/", fragment(self.live_job_view), name="jobs_job_live_one"),
            path("<int:object_id>/json/", view(self.json_view), name="jobs_job_json"),
            path("<str:object_id>/<slug:operation>/do/", view(self.act_view), name="jobs_job_act"),
            *super().get_urls(),
        ]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The live cells of jobs on the list, each to take the place of the one that is shown.

        Of those whose numbers are asked for (`ids`) the ones that are under way, and the ones that were so when they
        were shown last (`open`); the others stand as they stood.
        """
        self._check_may_view(request)
        ids, shown_open = (_ids_in(request.GET.get(name, "")) for name in ("ids", "open"))
        jobs = list(self.get_queryset(request).filter(pk__in=ids))
        rows = rows_of(jobs, require_caller(request), may_operate=self.has_operate_permission(request))
        live = (row for row in rows.values() if row.is_under_way or row.job.pk in shown_open)
        cells = ((row.cell(name, anew=True),) for row in live for name in LIVE)
        return HttpResponse(format_html_join("", "{}", cells) + self._new_jobs(request))

    def _new_jobs(self, request: HttpRequest) -> SafeString:
        """How many have come that match what the list was asked for, with a link that shows them."""
        newest, asked = id_in(request.GET.get("newest", "")), QueryDict(request.GET.get("asked", "")[:LONGEST_QUERY])
        if newest is None or not self.linked_lookups.isdisjoint(asked):
            return mark_safe("")
        jobs: Any = self.get_queryset(request).filter(pk__gt=newest)
        for one in FILTERS:
            jobs = one(request, dict(asked.lists()), Job, self).queryset(request, jobs)
        found, _ = self.get_search_results(request, jobs, asked.get("q", ""))
        count = found.order_by()[: MOST_NEW + 1].count()
        words = (
            f"{'more than ' if count > MOST_NEW else ''}{min(count, MOST_NEW)} new {'job' if count == 1 else 'jobs'}"
        )
        link = format_html('<a class="fs-button" href="?{}">{}</a>', asked.urlencode(), words) if count else ""
        return format_html('<p id="new-jobs" hx-swap-oob="true">{}</p>', link)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """One job, its chain, what it could not do, and who did what to it."""
        job = self._job(request, object_id)
        context = job_page.context(
            job, require_caller(request), request.GET, may_operate=self.has_operate_permission(request)
        )
        frame = self._frame(request) | {"opts": self.opts, "title": f"Job {job.pk}"}
        return TemplateResponse(request, "admin/jobs/job/page.html", frame | context)

    def live_job_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The part of a job's page that changes."""
        job = self._job(request, str(object_id))
        context = job_page.live(job, require_caller(request), may_operate=self.has_operate_permission(request))
        if request.GET.get("version") == context["version"]:
            return HttpResponse(status=204)
        return TemplateResponse(request, "admin/jobs/job/page_live.html", context)

    def json_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The raw record."""
        return job_page.raw(self._job(request, str(object_id)), require_caller(request))

    def _job(self, request: HttpRequest, object_id: str) -> Job:
        self._check_may_view(request)
        job = self.get_queryset(request).filter(pk=id_in(unquote(object_id)) or 0).first()
        if job is None:
            raise Http404
        return job

    def _check_may_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return self.admin_site.each_context(request)


def newest_id() -> int:
    """The id of the job that was made last."""
    return Job.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _ids_in(text: str) -> set[int]:
    """The first of the numbers that are written there, with commas between them."""
    return {number for part in text.split(",")[:MOST_LIVE] if (number := id_in(part))}


def _above(first: SafeString | str, second: SafeString | str) -> SafeString:
    """Two lines of a cell, the second in smaller letters."""
    return format_html('<span class="fs-two"><span>{}</span><span class="fs-note">{}</span></span>', first, second)


def _row(job: Job) -> Row:
    row: Row = job.row  # type: ignore[attr-defined]
    return row
