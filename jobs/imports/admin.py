"""The admin site's pages of imports: choose a file, look at what it would change, and then import it."""

from __future__ import annotations

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
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from jobs.engine.chains import Chain, chains_of
from jobs.engine.states import Status
from jobs.errors import ImportNotFound, JobNotFound, TooManyUploads
from jobs.imports import import_job
from jobs.imports.api import report_file
from jobs.imports.forms import ImportForm
from jobs.imports.models import ImportLine, OrganizationImport
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, require_caller
from orgs.importing import report, value_effects
from orgs.importing.staging import ImportReport

MAX_LINES_SHOWN = 200
TEMPLATES = "admin/jobs/organizationimport"


class ImportList(SingleCountChangeList):
    """The imports on a page of the list, each with its chain as the attribute `chain`."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        chains = chains_of([record.job for record in self.result_list])
        for record in self.result_list:
            record.chain = chains[record.pk]


@admin.register(OrganizationImport)
class ImportAdmin(OperatorAdmin):
    """The pages of imports. Every import begins with a dry run, whose changes a person sees and then applies."""

    add_role = Role.ADMIN
    organization_field = "job__organization_id"
    paginator = CappedPaginator
    row_names = ("import", "imports")
    empty_hint = (
        "Check a file of organizations. Flagsite shows what would change, and changes nothing before you confirm."
    )
    list_display = ["number", "file_name", "kind", "status", "result", "requester"]
    list_display_links = None
    ordering = ["-job_id"]
    sortable_by: list[str] = []

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ImportList]:
        return ImportList

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrganizationImport]:
        imports: QuerySet[OrganizationImport] = super().get_queryset(request)
        return imports.select_related("job", "artifact")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:job_id>/live/", fragment(self.live_view), name="jobs_organizationimport_live"),
            path("<int:job_id>/apply/", view(self.apply_view), name="jobs_organizationimport_apply"),
            path("<int:job_id>/report/", view(only_reads(self.report_view)), name="jobs_organizationimport_report"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the form. A POST starts a dry run of the file, and shows its page."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        caller = require_caller(request)
        form = ImportForm(caller, request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                job = import_job.request(file, name=file.name, options=form.options, dry_run=True, by=caller.name)
            except TooManyUploads as error:
                form.add_error("file", error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:jobs_organizationimport_change", args=[job.pk]))
        return self._page(request, "add.html", {"title": "Import organizations", "form": form})

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show the progress or the result of an import."""
        record, chain = self._import(request, id_in(object_id) or 0)
        title = "Check of a file" if record.is_dry_run else "Import of a file"
        return self._page(request, "page.html", {"title": title} | self._figures(request, record, chain))

    def live_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Answer with the part of the page that changes while the job is open."""
        return TemplateResponse(
            request, f"{TEMPLATES}/live.html", self._figures(request, *self._import(request, job_id))
        )

    def apply_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Start the import of what a dry run has found, and show the page of the import."""
        if not self.has_add_permission(request) or request.method != "POST":
            raise PermissionDenied
        record, _ = self._import(request, job_id)
        try:
            job_id = import_job.apply_checked(record, by=require_caller(request).name).pk
        except FlagsiteError as error:
            self.message_user(request, error.detail, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:jobs_organizationimport_change", args=[job_id]))

    def report_view(self, request: HttpRequest, job_id: int) -> Any:
        """Answer with the whole report as a file."""
        return report_file(self._import(request, job_id)[0])

    def _import(self, request: HttpRequest, job_id: int) -> tuple[OrganizationImport, Chain]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return import_job.import_for(require_caller(request), job_id)
        except (ImportNotFound, JobNotFound) as error:
            raise Http404 from error

    def _figures(self, request: HttpRequest, record: OrganizationImport, chain: Chain) -> dict[str, Any]:
        is_done = chain.status == Status.COMPLETED and record.rows is not None
        has_changes = is_done and record.rows != record.unchanged
        lines = _first_lines(record)
        return {
            "record": record,
            "chain": chain,
            "is_open": chain.latest.is_open,
            "step": record.step if chain.latest.status == Status.IN_PROGRESS else "",
            "sentence": _sentence(record) if is_done else "",
            "may_apply": record.is_dry_run and has_changes and record.source and self.has_add_permission(request),
            "values": value_effects.sentences(record.values) if is_done and record.is_dry_run and record.moved else [],
            "lines": lines,
            "line_count": record.problems or ((record.rows or 0) - (record.unchanged or 0)),
        }

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"{TEMPLATES}/{template}", frame | context)

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="import")
    def number(self, record: OrganizationImport) -> SafeString:
        address = reverse("admin:jobs_organizationimport_change", args=[record.pk])
        created = f"{record.job.created_at:%Y-%m-%d %H:%M:%S}"
        return format_html(
            '<a class="fs-link" href="{}">{}</a> <span class="fs-note">{}</span>', address, record.pk, created
        )

    @admin.display(description="file")
    def file_name(self, record: OrganizationImport) -> str:
        return record.file_name or "–"

    @admin.display(description="kind")
    def kind(self, record: OrganizationImport) -> str:
        return "Dry run" if record.is_dry_run else "Import"

    @admin.display(description="status")
    def status(self, record: Any) -> SafeString:
        return format_html('<span class="fs-status fs-status-{0}">{0}</span>', record.chain.status)

    @admin.display(description="result")
    def result(self, record: OrganizationImport) -> str:
        if record.problems:
            return "1 problem" if record.problems == 1 else f"{record.problems:,} problems"
        return _sentence(record) if record.rows is not None else "–"

    @admin.display(description="requested by")
    def requester(self, record: OrganizationImport) -> str:
        return record.job.requested_by


def _sentence(record: OrganizationImport) -> str:
    counts: dict[str, Any] = {name: getattr(record, name) or 0 for name in import_job.COUNTS}
    return report.sentence(ImportReport(**counts), dry_run=record.is_dry_run)


def _first_lines(record: OrganizationImport) -> list[ImportLine]:
    """Return the first lines of the report; renames and moves come before creations."""
    lines = record.lines.order_by("id")
    others = (
        list(lines.exclude(change="create")[:MAX_LINES_SHOWN])
        if record.renamed or record.moved or record.attributes
        else []
    )
    changes = others + list(lines.filter(change="create")[: MAX_LINES_SHOWN - len(others)])
    return changes if record.rows is not None else list(lines[:MAX_LINES_SHOWN])
