"""The admin site's pages to import organizations: check a file first, then import it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from orgs.access.live_pages import fragment
from orgs.access.operator_admin import caller_of
from orgs.errors import ImportRefused
from orgs.importing import importer, report, staging
from orgs.importing.staging import ImportReport

MAX_FILE_BYTES = 20 * 2**20
MAX_LINES_SHOWN = 1_000


class ImportPage:
    """A mixin of the organizations' admin with the pages of the import, for admins without a scope."""

    admin_site: Any
    opts: Any
    has_add_permission: Any
    message_user: Any

    def import_urls(self) -> list[URLPattern]:
        """Return the URL patterns of the pages."""
        view = self.admin_site.admin_view
        return [
            path("import/", view(self.import_view), name="orgs_organization_import"),
            path("import/report/", view(self.report_view), name="orgs_organization_import_report"),
            path("import/check/", fragment(self.check_view), name="orgs_organization_import_check"),
        ]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form. A POST imports the file, if the import would still do what the page has shown."""
        self._check_may_import(request)
        outcome: dict[str, Any] = {}
        if request.method == "POST":
            outcome = self._import(request, dry_run=True)
            if "report" in outcome and request.POST.get("shown") == outcome["fingerprint"]:
                result = self._import(request, dry_run=False)
                if "report" in result:
                    self.message_user(request, f"Imported: {report.sentence(result['report'])}")
                    return HttpResponseRedirect(reverse("admin:orgs_organization_changelist"))
                outcome = result
            elif "report" in outcome:
                outcome["problem"] = (
                    "The file or the tree has changed since this page was shown. Check the report and import again."
                )
        return self._import_page(request, outcome)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the report of a dry run: the changes, or the problems of each line."""
        self._check_may_import(request)
        outcome = self._import(request, dry_run=True)
        return TemplateResponse(request, "admin/orgs/organization/import_report.html", outcome)

    def report_view(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the whole report as a CSV file: the lines with changes, or the lines with problems."""
        self._check_may_import(request)
        rows: list[tuple[Any, ...]] = []
        outcome = self._import(
            request, dry_run=True, on_changes=lambda: rows.extend((*change, "") for change in staging.all_changes())
        )
        if "refused" in outcome:
            rows.extend(report.problem_rows(outcome["all_refused"]))
        elif "report" not in outcome:
            return self._import_page(request, outcome)
        answer = HttpResponse("".join(report.csv_lines(rows)), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="import-report.csv"'
        return answer

    def _import_page(self, request: HttpRequest, outcome: dict[str, Any]) -> HttpResponse:
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Import organizations"}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/orgs/organization/import.html", frame | outcome)

    def _import(
        self, request: HttpRequest, *, dry_run: bool, on_changes: Callable[[], object] | None = None
    ) -> dict[str, Any]:
        file: Any = request.FILES.get("file")
        if file is None:
            return {"problem": "Choose a file first."}
        if file.size > MAX_FILE_BYTES:
            return {"problem": f"The file is larger than {MAX_FILE_BYTES // 2**20} MB. Use the command bin/manage "
                               "import_organizations for larger files."}  # fmt: skip
        file.seek(0)
        try:
            result = importer.import_organizations(file.file, dry_run=dry_run, on_changes=on_changes)
        except ImportRefused as refused:
            if not refused.lines:
                return {"problem": refused.detail}
            lines = refused.lines[:MAX_LINES_SHOWN]
            return {"refused": lines, "refused_count": refused.count, "all_refused": refused.lines,
                    "advice": refused.advice}  # fmt: skip
        return {"report": result, "sentence": report.sentence(result), "fingerprint": _fingerprint(file, result)}

    def _check_may_import(self, request: HttpRequest) -> None:
        caller = caller_of(request)
        if caller is None or caller.organization_id is not None or not self.has_add_permission(request):
            raise PermissionDenied


def _fingerprint(file: Any, result: ImportReport) -> str:
    """Return a fingerprint of the file and of the changes that it would make now."""
    file.seek(0)
    digest = hashlib.sha256(json.dumps(result[:5]).encode())
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()
