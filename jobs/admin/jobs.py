"""The admin site's list of jobs, and the operations on selected jobs. `job_page` has the page of one job."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import action as theme_action

from flagsite.core import actor
from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from jobs.admin import job_page
from jobs.admin.enqueue_page import EnqueuePages
from jobs.admin.job_filters import FILTERS
from jobs.admin.job_rows import LIVE_CELLS, JobRow, rows_of
from jobs.engine.chains import newest_id
from jobs.engine.models import Job, JobQuerySet
from jobs.operations import bulk, bulk_job, cleanup, job_operations
from jobs.operations.bulk import OPERATIONS, BulkOperation, BulkSelection
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.operations.priorities import check_priority
from jobs.templatetags.job_formats import work
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, came_from, clipped, may, require_caller
from orgs.access.visible_organizations import is_named_by, visible_organizations

MAX_LIVE_JOBS = 200
"""Jobs on a page of the list whose cells update themselves."""
MAX_NEW_JOBS = 100
"""New jobs that are counted while a person looks at the list."""
MAX_PATH_NAMES = 2
"""Names of a path for which a row has room."""
MAX_QUERY_LENGTH = 2_000
MAX_ORGANIZATIONS_OF_NAME = 100
"""Organizations of the same name whose jobs a search finds."""


class JobOperationForm(ReasonForm):
    """The form for the reason of an operation on jobs, and for the new priority if the operation changes priorities."""

    field_order = ("priority", "reason")
    priority = forms.IntegerField(min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY)

    def __init__(self, operation: BulkOperation, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._caller = caller
        if operation.name != "priority":
            del self.fields["priority"]

    def clean_priority(self) -> int:
        priority: int = self.cleaned_data["priority"]
        try:
            check_priority(self._caller, priority)
        except FlagsiteError as error:
            raise forms.ValidationError(error.detail) from None
        return priority


class JobList(SingleCountChangeList):
    """The jobs on a page of the list, each with its `JobRow` as the attribute `row`."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.newest = newest_id()
        rows = rows_of(list(self.result_list), require_caller(request), may_operate=may(request, Role.OPERATOR))
        for job in self.result_list:
            job.row = rows[job.pk]


@admin.register(Job)
class JobAdmin(EnqueuePages, OperatorAdmin):
    """The pages of jobs. Jobs are changed by the operations of `jobs.operations.bulk` only, and not in forms."""

    organization_field = "organization_id"
    empty_hint = (
        "Flagsite creates a job when a flag is set on an organization that has others below it. Open an organization "
        "and set a flag."
    )
    paginator = CappedPaginator
    linked_lookups = frozenset({"parent_job__isnull"})
    list_display = [
        "number", "status_now", "flag", "organization_path", "progress", "took", "queue_cell", "requester", "buttons",
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
    actions_list = ("enqueue", "clean_up")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobList]:
        return JobList

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, Role.OPERATOR)

    def get_search_results(
        self, request: HttpRequest, queryset: JobQuerySet, search_term: str
    ) -> tuple[JobQuerySet, bool]:
        """Search by columns that have an index, thus for whole values only.

        The name of an organization finds the jobs of up to MAX_ORGANIZATIONS_OF_NAME organizations.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        visible = visible_organizations(require_caller(request)).filter(is_named_by(term) | Q(name__iexact=term))
        organization_ids = list(visible.values_list("pk", flat=True)[:MAX_ORGANIZATIONS_OF_NAME])
        matching = Q(correlation_id=term) | Q(arguments__featureFlagName=term) | Q(organization_id__in=organization_ids)
        job_id = id_in(term)
        return queryset.filter(matching | Q(pk=job_id) if job_id else matching), False

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="job")
    def number(self, job: Job) -> SafeString:
        address = reverse("admin:jobs_job_change", args=[job.pk])
        link = format_html('<a data-job="{}" class="fs-link" href="{}">{}</a>', job.pk, address, job.pk)
        created = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
        return _above(link, format_html('<span title="{} UTC">{}</span>', created, created[len("2026-") :]))

    @admin.display(description="status")
    def status_now(self, job: Job) -> SafeString:
        return _row(job).cell("status")

    @admin.display(description="work")
    def flag(self, job: Job) -> SafeString | str:
        return work(job)

    @admin.display(description="organization")
    def organization_path(self, job: Job) -> SafeString | str:
        """The organization's name, above the end of the path to it. The whole path is a tooltip."""
        if job.organization_id is None:
            return "–"
        names = _row(job).path or [f"{job.organization_id}, deleted"]
        above = " › ".join(["…", *names[-2:-1]] if len(names) > MAX_PATH_NAMES else names[:-1])
        return format_html('<span title="{}">{}</span>', " › ".join(names), _above(names[-1], above))

    @admin.display(description="progress")
    def progress(self, job: Job) -> SafeString:
        return _row(job).cell("progress")

    @admin.display(description="took")
    def took(self, job: Job) -> SafeString:
        return _above(_row(job).cell("took"), format_html("attempt {}", _row(job).cell("attempt")))

    @admin.display(description="queue")
    def queue_cell(self, job: Job) -> SafeString:
        return _above(job.queue, f"priority {job.priority}")

    @admin.display(description="requested by")
    def requester(self, job: Job) -> SafeString:
        return _above(clipped(job.requested_by), clipped(job.correlation_id))

    @admin.display(description="actions")
    def buttons(self, job: Job) -> SafeString:
        return _row(job).cell("buttons")

    # --- Operations ---------------------------------------------------------------------------------------------------

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._confirm_and_do(request, jobs, OPERATIONS["retry"])

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._confirm_and_do(request, jobs, OPERATIONS["cancel"])

    @admin.action(description="Change priority", permissions=["operate"])
    def change_priority(self, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return self._confirm_and_do(request, jobs, OPERATIONS["priority"])

    def act_view(self, request: HttpRequest, object_id: str, operation: str) -> HttpResponse:
        """Ask for the reason, then do the operation on this job."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        jobs = self.get_queryset(request).filter(pk=id_in(unquote(object_id)) or 0)
        if operation not in OPERATIONS or not jobs:
            raise Http404
        back = reverse("admin:jobs_job_change", args=[object_id])
        done = self._confirm_and_do(request, jobs, OPERATIONS[operation], back=back)
        return done or HttpResponseRedirect(came_from(request, back))

    def _confirm_and_do(
        self, request: HttpRequest, jobs: QuerySet[Job], operation: BulkOperation, *, back: str = ""
    ) -> HttpResponse | None:
        """Show the number of jobs and ask for the reason. After the confirmation do the operation and show the results.

        Jobs that were created after the question are left out. For more than MAX_JOBS_IN_REQUEST jobs the function
        creates a bulk job and redirects to its page.
        """
        caller = require_caller(request)
        form = JobOperationForm(operation, caller, request.POST if "confirmed" in request.POST else None)
        newest = id_in(request.POST.get("newest", "")) or newest_id()
        jobs = jobs.filter(pk__lte=newest)
        selection = bulk.count_selection(jobs, operation)
        if not form.is_valid():
            context = self._question(request, jobs, operation, selection) | {"form": form, "newest": newest}
            context["back"] = back or request.get_full_path()
            return TemplateResponse(request, "admin/jobs/job/confirm.html", self._frame(request) | context)
        values = form.cleaned_data
        if selection.applicable > bulk.MAX_JOBS_IN_REQUEST:
            job = bulk_job.start(
                jobs, operation, selection, by=caller.name, organization_id=caller.organization_id, **values
            )
            text = f"Job {job.pk} does the operation on {selection.applicable:,} jobs. This page shows its progress."
            self.message_user(request, text)
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))
        result = bulk.do_on_each(list(bulk.one_of_each_chain(jobs, operation)), operation, by=caller.name, **values)
        were = "job was" if result.count == 1 else "jobs were"
        text = f"{result.count:,} {were} {operation.participle}."
        self.message_user(request, text)
        for reason, count in (selection.skipped + result.skipped).most_common():
            self.message_user(request, f"{count:,} skipped: {bulk.skip_clause(reason, count)}.", messages.WARNING)
        return None

    def _question(
        self, request: HttpRequest, jobs: QuerySet[Job], operation: BulkOperation, selection: BulkSelection
    ) -> dict[str, Any]:
        """The template context of the page that asks for a confirmation."""
        across = request.POST.get("select_across") == "1"
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        only_job = jobs.first() if selection.matching == 1 else None
        count = selection.applicable
        left = job_operations.left_behind(only_job) if only_job and operation.name == "retry" else None
        return {
            "title": f"{operation.imperative} {count:,} {'job' if count == 1 else 'jobs'}",
            "operation": operation, "selection": selection, "opts": self.opts,
            "skipped": [(count, bulk.skip_clause(reason, count)) for reason, count in selection.skipped.most_common()],
            "only_job": only_job, "left_organizations": left,
            "needs_bulk_job": count > bulk.MAX_JOBS_IN_REQUEST,
            "action": request.POST.get("action", ""), "across": across, "ticked": ticked[:1] if across else ticked,
        }  # fmt: skip

    def has_clean_up_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request) and require_caller(request).organization_id is None

    @theme_action(description="Delete old jobs", url_path="clean-up", permissions=["clean_up"])
    def clean_up(self, request: HttpRequest) -> HttpResponse:
        """Count what a clean-up would delete now, ask for a confirmation, and start the clean-up."""
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            correlation_id = actor.current().correlation_id
            job = cleanup.request(by=require_caller(request).name, correlation_id=correlation_id)
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))
        old = cleanup.old_jobs()
        context = {
            "title": "Delete old jobs", "opts": self.opts, "form": form, "old": old,
            "others": [(_in_words(name), count) for name, count in old.others.items()],
            "kept_completed": settings.JOBS_KEEP_COMPLETED_DAYS, "kept_failed": settings.JOBS_KEEP_FAILED_DAYS,
        }  # fmt: skip
        return TemplateResponse(request, "admin/jobs/job/clean_up.html", self._frame(request) | context)

    # --- Pages --------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("live/", fragment(self.live_view), name="jobs_job_live"),
            path("<int:object_id>/live/", fragment(self.live_job_view), name="jobs_job_live_one"),
            path("<int:object_id>/json/", view(only_reads(self.json_view)), name="jobs_job_json"),
            path("<str:object_id>/<slug:operation>/do/", view(self.act_view), name="jobs_job_act"),
            *super().get_urls(),
        ]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The updated live cells of jobs on the list.

        `ids` in the query are the jobs on the page, and `open` are those of them that the page shows as open. The
        response has the cells of jobs that are open now or that the page shows as open. Other jobs cannot change.
        """
        self.require_viewer(request)
        ids, shown_open = (_ids_in(request.GET.get(name, "")) for name in ("ids", "open"))
        jobs = list(self.get_queryset(request).filter(pk__in=ids))
        rows = rows_of(jobs, require_caller(request), may_operate=self.has_operate_permission(request))
        changing = (row for row in rows.values() if row.is_open or row.job.pk in shown_open)
        cells = ((row.cell(name, is_update=True),) for row in changing for name in LIVE_CELLS)
        return HttpResponse(format_html_join("", "{}", cells) + self._new_jobs(request))

    def _new_jobs(self, request: HttpRequest) -> SafeString:
        """The number of new jobs that match the query of the list, as a link that shows them."""
        newest = id_in(request.GET.get("newest", ""))
        list_query = QueryDict(request.GET.get("query", "")[:MAX_QUERY_LENGTH])
        if newest is None or not self.linked_lookups.isdisjoint(list_query):
            return mark_safe("")
        jobs: Any = self.get_queryset(request).filter(pk__gt=newest)
        for list_filter in FILTERS:
            jobs = list_filter(request, dict(list_query.lists()), Job, self).queryset(request, jobs)
        matching, _ = self.get_search_results(request, jobs, list_query.get("q", ""))
        count = matching.order_by()[: MAX_NEW_JOBS + 1].count()
        number = f"more than {MAX_NEW_JOBS}" if count > MAX_NEW_JOBS else f"{count}"
        text = f"{number} new {'job' if count == 1 else 'jobs'}"
        link = format_html('<a class="fs-button" href="?{}">{}</a>', list_query.urlencode(), text) if count else ""
        return format_html('<p id="new-jobs" hx-swap-oob="true">{}</p>', link)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """The page of one job."""
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
        """The job's row as JSON."""
        return job_page.raw(self._job(request, str(object_id)), require_caller(request))

    def _job(self, request: HttpRequest, object_id: str) -> Job:
        self.require_viewer(request)
        job = self.get_queryset(request).filter(pk=id_in(unquote(object_id)) or 0).first()
        if job is None:
            raise Http404
        return job

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return self.admin_site.each_context(request)


def _in_words(name: str) -> str:
    """A name in JSON as words: "importFiles" is "import files"."""
    return re.sub(r"(?=[A-Z])", " ", name).lower()


def _ids_in(text: str) -> set[int]:
    """The first MAX_LIVE_JOBS ids of a text that has commas between the ids."""
    return {job_id for part in text.split(",")[:MAX_LIVE_JOBS] if (job_id := id_in(part))}


def _above(first: SafeString | str, second: SafeString | str) -> SafeString:
    """A cell with two lines of text, the second in smaller letters."""
    return format_html('<span class="fs-two"><span>{}</span><span class="fs-note">{}</span></span>', first, second)


def _row(job: Job) -> JobRow:
    row: JobRow = job.row  # type: ignore[attr-defined]
    return row
