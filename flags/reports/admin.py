"""The admin site's pages of reports: the list with pictures, the form that asks for one, and a page for each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from flags.reports.forms import ReportForm
from flags.reports.models import Report
from flags.reports.period import period_of
from flags.reports.report_job import KIND, PICTURE, TYPES, ReportName
from flags.reports.selectors import files_by_report, reports_of
from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from jobs.admin.schema_form import ArgumentsForm
from jobs.artifacts.files import artifact_files
from jobs.artifacts.models import Artifact
from jobs.engine.chains import chain_of, chains_of
from jobs.engine.kinds import kind_named
from jobs.operations.enqueue import enqueue_for
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, clipped, require_caller
from orgs.tree.paths import path_names_of

TEMPLATES = "admin/flags/reports"


class ReportList(SingleCountChangeList):
    """The reports on a page of the list, each with its chain, its files and the path of its organization."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        reports: list[Any] = list(self.result_list)
        chains, files = chains_of(reports), files_by_report(reports)
        ids = {report.organization_id for report in reports if report.organization_id}
        paths = path_names_of(ids, top_id=require_caller(request).organization_id)
        for report in reports:
            report.chain, report.files = chains[report.pk], files[report.pk]
            report.path = " › ".join(paths.get(report.organization_id, []))


@admin.register(Report)
class ReportAdmin(OperatorAdmin):
    """The pages of reports. Operators ask for reports and read them; the audit report is for admins."""

    view_role = Role.OPERATOR
    add_role = Role.OPERATOR
    organization_field = "organization_id"
    paginator = CappedPaginator
    row_names = ("report", "reports")
    empty_hint = "Ask for a report on the usage of flags, the audit log or the performance of jobs."
    list_display = ["picture", "number", "title", "period", "where", "status_cell", "file_cell", "requester"]
    list_display_links = None
    ordering = ["-id"]
    sortable_by: list[str] = []

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ReportList]:
        return ReportList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return reports_of(require_caller(request)).order_by("-id")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:report_id>/live/", fragment(self.live_view), name="flags_report_live"),
            path("<int:report_id>/picture/", view(only_reads(self.picture_view)), name="flags_report_picture"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the form. A POST enqueues the job that makes the report, and shows the page of the report."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        caller = require_caller(request)
        data = request.POST if request.method == "POST" else None
        form, arguments = ReportForm(caller, data), ArgumentsForm(kind_named(KIND), data)
        if request.method == "POST" and form.is_valid() and arguments.is_valid():
            organization, reason = form.cleaned_data["organization"], form.cleaned_data["reason"]
            try:
                job = enqueue_for(
                    caller,
                    kind=KIND,
                    arguments=arguments.arguments,
                    organization=organization.pk if organization else None,
                    reason=reason,
                ).job
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                self.message_user(request, f"Report {job.pk} is being made.")
                return HttpResponseRedirect(reverse("admin:flags_report_change", args=[job.pk]))
        return self._page(request, "add.html", {"title": "Make a report", "form": form, "arguments": arguments})

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show a report: its first page, its files and its key figures, or the progress of the job that makes it."""
        report = self._report(request, id_in(object_id) or 0)
        title = f"{_title(report)}: {_period(report)}"
        return self._page(request, "page.html", {"title": title} | self._figures(request, report))

    def live_view(self, request: HttpRequest, report_id: int) -> HttpResponse:
        """Answer with the part of the page that changes while the report is being made."""
        report = self._report(request, report_id)
        return TemplateResponse(request, f"{TEMPLATES}/live.html", self._figures(request, report))

    def picture_view(self, request: HttpRequest, report_id: int) -> Any:
        """Answer with the picture of the first page."""
        files = files_by_report([self._report(request, report_id)])[report_id]
        if not files or files[0].name != PICTURE:
            raise Http404
        try:
            content = artifact_files().open(files[0].storage_key)
        except FileNotFoundError as error:
            raise Http404 from error
        return FileResponse(content, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    def _report(self, request: HttpRequest, report_id: int) -> Report:
        report = reports_of(self.require_viewer(request)).filter(pk=report_id).first()
        if report is None:
            raise Http404
        return report

    def _figures(self, request: HttpRequest, report: Report) -> dict[str, Any]:
        chain, files = chain_of(report), files_by_report([report])[report.pk]
        names = path_names_of(
            [report.organization_id] if report.organization_id else [], top_id=require_caller(request).organization_id
        )
        return {
            "report": report,
            "report_title": _title(report),
            "period": _period(report),
            "where": " › ".join(names.get(report.organization_id or 0, [])) or _without_path(report),
            "chain": chain,
            "is_open": chain.latest.is_open,
            "has_picture": bool(files) and files[0].name == PICTURE,
            "files": [file for file in files if file.name != PICTURE],
        }

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"{TEMPLATES}/{template}", frame | context)

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="first page")
    def picture(self, report: Any) -> SafeString | str:
        if not report.files or report.files[0].name != PICTURE:
            return "–"
        return format_html(
            '<a href="{}"><img class="fs-first-page" src="{}" width="90" height="127" loading="lazy" '
            'alt="First page of report {}"></a>',
            _address(report), reverse("admin:flags_report_picture", args=[report.pk]), report.pk,
        )  # fmt: skip

    @admin.display(description="report")
    def number(self, report: Report) -> SafeString:
        created = f"{report.created_at:%Y-%m-%d %H:%M:%S}"
        link = '<a class="fs-link" href="{}">{}</a> <span class="fs-note">{}</span>'
        return format_html(link, _address(report), report.pk, created)

    @admin.display(description="about")
    def title(self, report: Report) -> str:
        return _title(report)

    @admin.display(description="period")
    def period(self, report: Report) -> str:
        return _period(report)

    @admin.display(description="organizations")
    def where(self, report: Any) -> str:
        return clipped(report.path or _without_path(report))

    @admin.display(description="status")
    def status_cell(self, report: Any) -> SafeString:
        return format_html('<span class="fs-status fs-status-{0}">{0}</span>', report.chain.status)

    @admin.display(description="files")
    def file_cell(self, report: Any) -> SafeString | str:
        links = [_download(file) for file in report.files if file.name != PICTURE]
        return format_html_join("", "<div>{}</div>", ((link,) for link in links)) if links else "–"

    @admin.display(description="requested by")
    def requester(self, report: Report) -> str:
        return clipped(report.requested_by)


def _address(report: Report) -> str:
    return reverse("admin:flags_report_change", args=[report.pk])


def _download(file: Artifact) -> SafeString:
    address = reverse("admin:jobs_artifact_file", args=[file.pk])
    link = '<a class="fs-link" href="{}">{}</a> <span class="fs-note fs-nowrap">{}</span>'
    return format_html(link, address, file.name, filesizeformat(file.size))


def _title(report: Report) -> str:
    return TYPES[ReportName(report.arguments["report"])].title


def _period(report: Report) -> str:
    return period_of(report.arguments, today=report.created_at.date()).words


def _without_path(report: Report) -> str:
    return f"{report.organization_id}, deleted" if report.organization_id else "All organizations"
