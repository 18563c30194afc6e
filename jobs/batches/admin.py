"""The admin site's pages of batches: their progress and members, retry what failed, cancel, and create one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.words import counted
from jobs.batches import operations
from jobs.batches.forms import BatchForm, MembersForm
from jobs.batches.members import MemberCounts, count_members, first_jobs, member_outcome
from jobs.batches.models import Batch, BatchOutcome
from jobs.batches.operations import BatchOperation
from jobs.batches.requests import add_for, create_for
from jobs.batches.serializers import OPEN
from jobs.engine.chains import TrackedJob, jobs_of, tracked
from jobs.engine.models import Job
from jobs.engine.states import Status
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, clipped, may, require_caller
from orgs.audit.models import AuditEntry
from orgs.tree.paths import path_names_of

MEMBERS_PER_PAGE = 50
TEMPLATES = "admin/jobs/batch"
STYLES = {"": "IN_PROGRESS", "SUCCEEDED": "COMPLETED", "PARTIAL": "RETRYING"}
"""The status of a job whose colour an outcome has, if it is not a status itself."""
WORDS_OF_COUNTS = {
    "waiting": Status.PENDING, "running": Status.IN_PROGRESS, "retrying": Status.RETRYING,
    "succeeded": Status.COMPLETED, "partial": Status.COMPLETED, "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}  # fmt: skip
"""The counts of members on the page, each with the status of the chains that it counts."""


class OutcomeFilter(admin.SimpleListFilter):
    """The batches with an outcome, or those that are open."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, page: Any) -> list[tuple[str, str]]:
        return [(OPEN, "Open"), *((outcome.value, outcome.value.title()) for outcome in BatchOutcome)]

    def queryset(self, request: HttpRequest, batches: QuerySet[Batch]) -> QuerySet[Batch]:
        value = self.value()
        return batches if value is None else batches.filter(outcome="" if value == OPEN else value)


class BatchList(SingleCountChangeList):
    """The batches on a page of the list, each with the attributes `counts` and `path`."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = count_members(self.result_list)
        ids = [batch.organization_id for batch in self.result_list if batch.organization_id]
        paths = path_names_of(ids, top_id=require_caller(request).organization_id)
        for batch in self.result_list:
            batch.counts, batch.path = counts[batch.pk], paths.get(batch.organization_id)


@admin.register(Batch)
class BatchAdmin(OperatorAdmin):
    """The pages of batches."""

    add_role = Role.OPERATOR
    organization_field = "organization_id"
    paginator = CappedPaginator
    empty_hint = "A batch is many jobs as one piece of work, with one outcome. Create one here or over the API."
    list_display = ["number", "name_cell", "outcome_cell", "progress", "organization_path", "requester"]
    list_display_links = None
    list_filter = [OutcomeFilter]
    search_fields = ["id"]
    search_help_text = "A batch's number, key or correlation id"
    ordering = ["-id"]
    sortable_by: list[str] = []

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BatchList]:
        return BatchList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for whole values only."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = queryset.filter(key=term) | queryset.filter(correlation_id=term)
        return (found | queryset.filter(pk=number) if (number := id_in(term)) else found), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:batch_id>/live/", fragment(self.live_view), name="jobs_batch_live"),
            path("<int:batch_id>/members/", view(self.members_view), name="jobs_batch_members"),
            path("<int:batch_id>/retry/", view(self.retry_view), name="jobs_batch_retry"),
            path("<int:batch_id>/cancel/", view(self.cancel_view), name="jobs_batch_cancel"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the form. A POST creates the batch, and shows its page."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BatchForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                batch = create_for(require_caller(request), form.values, reason=form.cleaned_data["reason"]).batch
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:jobs_batch_change", args=[batch.pk]))
        return self._page(request, "add.html", {"title": "Create a batch", "form": form})

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show a batch, its progress and its members."""
        batch = self._batch(request, id_in(object_id) or 0)
        names = path_names_of([batch.organization_id or 0], top_id=require_caller(request).organization_id)
        entries = AuditEntry.objects.filter(subject=f"batch:{batch.pk}").order_by("-id")[:100]
        context = {"title": f"Batch {batch.pk}: {batch.name}", "entries": entries}
        context["path"] = " › ".join(names.get(batch.organization_id or 0, []))
        return self._page(request, "page.html", context | self._figures(request, batch))

    def members_view(self, request: HttpRequest, batch_id: int) -> HttpResponse:
        """Show the form for members. A POST adds them, and shows the batch."""
        batch = self._batch(request, batch_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MembersForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                add_for(require_caller(request), batch.pk, form.values, reason=form.cleaned_data["reason"])
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:jobs_batch_change", args=[batch.pk]))
        return self._page(
            request, "add.html", {"title": f"Add members to batch {batch.pk}", "form": form, "batch": batch}
        )

    def live_view(self, request: HttpRequest, batch_id: int) -> HttpResponse:
        """Answer with the part of the page that changes while the batch is open."""
        return TemplateResponse(
            request, f"{TEMPLATES}/live.html", self._figures(request, self._batch(request, batch_id))
        )

    def retry_view(self, request: HttpRequest, batch_id: int) -> HttpResponse:
        """Ask for the reason, then retry what failed."""
        return self._operate(request, batch_id, "Retry what failed", operations.retry_failed_members, "retried")

    def cancel_view(self, request: HttpRequest, batch_id: int) -> HttpResponse:
        """Ask for the reason, then cancel the open members."""
        return self._operate(request, batch_id, "Cancel", operations.cancel, "cancelled")

    def _operate(
        self, request: HttpRequest, batch_id: int, act: str, operation: Callable[..., BatchOperation], participle: str
    ) -> HttpResponse:
        batch = self._batch(request, batch_id)
        if not may(request, Role.OPERATOR):
            raise PermissionDenied
        back = reverse("admin:jobs_batch_change", args=[batch_id])
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            try:
                done = operation(batch_id, by=require_caller(request).name, reason=reason)
            except FlagsiteError as error:
                self.message_user(request, error.detail, messages.ERROR)
            else:
                self.message_user(request, _sentence(done, participle))
            return HttpResponseRedirect(back)
        context = {"title": f"{act}: batch {batch_id}", "act": act, "participle": participle, "form": form,
                   "batch": batch, "counts": count_members([batch])[batch.pk], "back": back}  # fmt: skip
        return self._page(request, "act.html", context)

    def _batch(self, request: HttpRequest, batch_id: int) -> Batch:
        self.require_viewer(request)
        batch: Batch | None = self.get_queryset(request).filter(pk=batch_id).first()
        if batch is None:
            raise Http404
        return batch

    def _figures(self, request: HttpRequest, batch: Batch) -> dict[str, Any]:
        counts = count_members([batch])[batch.pk]
        members, more = self._members(request, batch)
        chosen = request.GET.get("status", "")
        callback = Job.objects.filter(pk=batch.callback_job_id or 0).first()
        return {
            "batch": batch, "counts": counts, "style": style_of(batch), "members": members, "chosen": chosen,
            "more_after": members[-1][0].job.pk if more else None, "callback": callback,
            "cards": [(name, getattr(counts, name), status) for name, status in WORDS_OF_COUNTS.items()],
            "query": request.GET.urlencode(),
            "may_retry": may(request, Role.OPERATOR) and counts.failed + counts.partial > 0,
            "may_cancel": may(request, Role.OPERATOR) and batch.is_open,
        }  # fmt: skip

    def _members(self, request: HttpRequest, batch: Batch) -> tuple[list[tuple[TrackedJob, str]], bool]:
        """The next members, each with its outcome, and whether more members follow."""
        visible = first_jobs(batch, jobs_of(require_caller(request)))
        visible = visible.filter(pk__gt=id_in(request.GET.get("after", "")) or 0)
        if (status := request.GET.get("status", "")) in Status.values:
            visible = visible.filter(status=status)
        jobs = list(visible[: MEMBERS_PER_PAGE + 1])
        rows = [(one, member_outcome(one.standing)) for one in tracked(jobs[:MEMBERS_PER_PAGE])]
        return rows, len(jobs) > MEMBERS_PER_PAGE

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"{TEMPLATES}/{template}", frame | context)

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="batch")
    def number(self, batch: Batch) -> SafeString:
        address = reverse("admin:jobs_batch_change", args=[batch.pk])
        created = f"{batch.created_at:%Y-%m-%d %H:%M:%S}"
        return format_html(
            '<a class="fs-link" href="{}">{}</a> <span class="fs-note">{}</span>', address, batch.pk, created
        )

    @admin.display(description="name")
    def name_cell(self, batch: Batch) -> SafeString | str:
        return clipped(batch.name)

    @admin.display(description="outcome")
    def outcome_cell(self, batch: Batch) -> SafeString:
        return format_html('<span class="fs-status fs-status-{}">{}</span>', style_of(batch), batch.outcome or "OPEN")

    @admin.display(description="progress")
    def progress(self, batch: Any) -> SafeString:
        counts: MemberCounts = batch.counts
        lost = counts.failed + counts.partial + counts.cancelled
        words = format_html(', <span class="fs-bad">{} not succeeded</span>', f"{lost:,}") if lost else ""
        return format_html(
            '<progress class="fs-progress" value="{}" max="100" aria-label="Progress of batch {}"></progress>'
            '<span class="fs-note">{} of {}{}</span>',
            counts.percent_ended, batch.pk, f"{counts.ended:,}", f"{batch.total:,}", words,
        )  # fmt: skip

    @admin.display(description="organization")
    def organization_path(self, batch: Any) -> SafeString | str:
        if batch.organization_id is None:
            return "–"
        return clipped(" › ".join(batch.path or [f"{batch.organization_id}, deleted"]))

    @admin.display(description="requested by")
    def requester(self, batch: Batch) -> SafeString | str:
        return clipped(batch.requested_by)


def style_of(batch: Batch) -> str:
    """The status of a job whose colour the outcome of the batch has."""
    return STYLES.get(batch.outcome, batch.outcome)


def _sentence(done: BatchOperation, participle: str) -> str:
    if done.job is not None:
        return f"Job {done.job.pk} does it for {counted(done.job.total or 0, 'member')}."
    return f"{counted(done.result.count, 'member')} {participle}."
