"""The endpoints of imports: upload a file, follow the import, and read its report."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer, ReasonInput, take_reason_from_header
from flagsite.core.db.snapshot import snapshot
from jobs.api.serializers import tracking_url
from jobs.artifacts.upload_parsers import FILE, FORM, PARSERS, WORKBOOK, TakesFiles, upload_of
from jobs.engine.models import Job
from jobs.imports import import_job
from jobs.imports.models import OrganizationImport
from jobs.imports.report import csv_report
from jobs.imports.serializers import (
    STARTED,
    ImportLineSerializer,
    ImportPlanQuery,
    ImportQuery,
    ImportSerializer,
    ImportStartedSerializer,
    ReportFilters,
    options_for,
)
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

CSV_EXAMPLE = f"key,name,parent_key\n{names.OSLO},Oslo,{names.NORWAY}\n{names.NEW_STORE},Frogner,{names.OSLO}\n"
REPORT_EXAMPLE = (
    "line,change,key,name,former_name,parent_key,former_parent_key,problem\n"
    f"7,move,{names.OSLO},Oslo,,{names.NORTHERN_EUROPE},{names.NORWAY},\n"
)

BODY = {**dict.fromkeys(("text/csv", WORKBOOK, "application/octet-stream"), FILE), "multipart/form-data": FORM}
EXAMPLES = [
    OpenApiExample("Two stores", value=CSV_EXAMPLE, request_only=True, media_type="text/csv"),
    OpenApiExample("Started", value=STARTED, response_only=True, status_codes=["202"]),
]


class Imports(TakesFiles):
    """The upload of a file of organizations."""

    roles: ClassVar = {"POST": Role.ADMIN}
    parser_classes: Any = PARSERS

    @extend_schema(
        operation_id="importOrganizations",
        summary="Import organizations from a file",
        parameters=[ImportQuery],
        request=BODY,
        responses={202: ImportStartedSerializer},
        examples=EXAMPLES,
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create, rename and move organizations as a file says, in a job; or check the file in a dry run.

        The file is CSV or an Excel workbook with the columns key, name and parent_key. A caller with a scope imports
        into its own subtree only.
        """
        query = ImportQuery.read(request)
        return _requested(self.caller, request, query, dry_run=query["dryRun"] == "true")


class PlanOfImport(TakesFiles):
    """The plan of an import: a dry run."""

    roles: ClassVar = {"POST": Role.ADMIN}
    parser_classes: Any = PARSERS

    @extend_schema(
        operation_id="planImport",
        summary="Plan an import of organizations from a file",
        parameters=[ImportPlanQuery],
        request=BODY,
        responses={202: ImportStartedSerializer},
        examples=EXAMPLES,
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Check a file in a job, and change nothing. `importUrl` then tells what the import would do.

        `values` says how many organizations would get other values of flags. POST .../apply imports the file.
        """
        return _requested(self.caller, request, ImportPlanQuery.read(request), dry_run=True)


def _requested(caller: Caller, request: Request, query: dict[str, Any], *, dry_run: bool) -> Response:
    options = options_for(caller, query)
    take_reason_from_header(request)
    upload = upload_of(request)
    job = import_job.request(upload.content, name=upload.name, options=options, dry_run=dry_run, by=caller.name)
    return _started(job)


class OneImport(Endpoint):
    """An import."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getImport",
        summary="Read the result of an import",
        responses=ImportSerializer,
        tags=["organizations"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The status, the progress and the counts of an import. The id of any attempt of its job finds it."""
        QuerySerializer.read(request)
        with snapshot():
            record, chain = import_job.import_for(self.caller, job_id)
        report_url = reverse("import-report", args=[record.pk])
        return Response(ImportSerializer(record, context={"chain": chain, "report_url": report_url}).data)


class ApplyImport(Endpoint):
    """The import of a file that a dry run has checked."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="applyImport",
        summary="Import the file of a dry run",
        request=ReasonInput,
        responses={202: ImportStartedSerializer},
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request, job_id: int) -> Response:
        """Do what a dry run has found, without another upload. If the tree has changed since, nothing is changed."""
        ReasonInput.read(request)
        record, _ = import_job.import_for(self.caller, job_id)
        return _started(import_job.apply_checked(record, by=self.caller.name))


class ImportReport(ListEndpoint):
    """The report of an import."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getImportReport",
        summary="List the lines that an import changes or refuses",
        parameters=[ReportFilters],
        responses=ImportLineSerializer(many=True),
        tags=["organizations"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The lines of the file that change something, in their order. For a refused file, the lines with a problem."""
        filters = self.filters(request, ReportFilters)
        record, _ = import_job.import_for(self.caller, job_id)
        lines = record.lines.filter(**filters)
        return self.page(ImportLineSerializer, self.rows(request, lines.order_by("id")))


class ImportReportFile(Endpoint):
    """The report of an import as a file."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="downloadImportReport",
        summary="Download the report of an import",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY, description="The whole report.")},
        examples=[OpenApiExample("A move", value=REPORT_EXAMPLE, response_only=True, media_type="text/csv")],
        tags=["organizations"],
    )
    def get(self, request: Request, job_id: int) -> Any:
        """The whole report as CSV in UTF-8, which a spreadsheet opens without running formulas in it."""
        QuerySerializer.read(request)
        record, _ = import_job.import_for(self.caller, job_id)
        return report_file(record)


def report_file(record: OrganizationImport) -> StreamingHttpResponse:
    """Return the answer with the report as a file."""
    answer = StreamingHttpResponse(csv_report(record), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="import-{record.pk}.csv"'
    return answer


def _started(job: Job) -> Response:
    answer = {
        "jobId": job.pk,
        "status": job.status,
        "dryRun": job.arguments["dryRun"],
        "message": "Import started",
        "trackingUrl": tracking_url(job.pk),
        "importUrl": reverse("import", args=[job.pk]),
    }
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(job.pk)})
