"""The endpoints of the audit log."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core import example_names as names
from flagsite.core.api.pagination import KeysetPagination
from flagsite.core.csv_output import csv_lines
from orgs.access.endpoints import ListEndpoint
from orgs.access.models import Role
from orgs.audit import selectors, words
from orgs.audit.serializers import CSV, CSV_COLUMNS, AuditEntrySerializer, AuditFilters, csv_row

CSV_EXAMPLE = (
    f"{','.join(CSV_COLUMNS)}\n812,2026-11-23T09:59:47.384019Z,user:{names.PERSON},flag.set,flag:{names.FLAG},"
    f"{names.OSLO_ID},{names.OSLO_PATH},off → on; change number: 71,Launch in Oslo,admin,10.0.0.7,5f0c6a8e\n"
)
LINK = OpenApiParameter(
    "Link",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description='`<…>; rel="next"`: the address of the next, older entries. Absent on the last page.',
)


class AuditLog(ListEndpoint):
    """The audit log."""

    roles: ClassVar = {"GET": Role.ADMIN}
    rows_outlive_organizations = True

    @extend_schema(
        operation_id="listAuditEntries",
        summary="Read the audit log",
        parameters=[AuditFilters],
        responses=AuditEntrySerializer(many=True),
        tags=["access"],
    )
    def get(self, request: Request) -> Response:
        """Who did what, when and why, newest first. A bound caller sees the entries about its organizations."""
        return self.page(AuditEntrySerializer, self._entries(request))

    def _entries(self, request: Request) -> list[words.ShownEntry]:
        filters = self.filters(request, AuditFilters)
        entries = selectors.matching(selectors.visible_entries(self.caller), **filters)
        return words.shown(self.rows(request, entries), self.caller)


class LongPages(KeysetPagination):
    """Pages for files, with more rows than pages in JSON."""

    max_page_size = default_page_size = 10_000


class AuditLogAsCsv(AuditLog):
    """The audit log as a file for spreadsheets."""

    pagination_class: Any = LongPages

    @extend_schema(
        operation_id="exportAuditEntries",
        summary="Read the audit log as CSV",
        parameters=[AuditFilters, LINK],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="The entries of the page.")},
        examples=[OpenApiExample("A flag was set", value=CSV_EXAMPLE, response_only=True, media_type="text/csv")],
        tags=["access"],
        filters=False,
    )
    def get(self, request: Request) -> HttpResponse:
        """The same entries as a file. A text that a spreadsheet would run as a formula has an apostrophe before it."""
        rows = self._entries(request)
        answer = HttpResponse("".join(csv_lines(CSV_COLUMNS, map(csv_row, rows))), content_type=CSV)
        answer["Content-Disposition"] = 'attachment; filename="audit-log.csv"'
        if older := self.paginator.get_paginated_response([]).data["next"]:
            answer["Link"] = f'<{older}>; rel="next"'
        return answer
