"""The admin site's read-only page of the audit log: actor, action, subject, time, reason and channel."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateFilter

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.csv_output import csv_lines
from flagsite.core.reading_pages import only_reads
from orgs.access.operator_admin import OperatorAdmin, TextInputFilter, clipped, require_caller
from orgs.access.organization_picker import OrganizationTextFilter
from orgs.access.visible_organizations import id_to_filter_by
from orgs.audit import words
from orgs.audit.models import AuditEntry
from orgs.audit.selectors import about_flag
from orgs.audit.serializers import CSV, CSV_COLUMNS, csv_row

Entries = QuerySet[AuditEntry]
MAX_CSV_ROWS = 10_000

DISTINCT_ACTIONS = """
WITH RECURSIVE found AS (  -- one step in the index audit_by_action for each action, not for each entry
    (SELECT action FROM orgs_historyentry ORDER BY action LIMIT 1)
     UNION ALL
    SELECT (SELECT action FROM orgs_historyentry WHERE action > found.action ORDER BY action LIMIT 1)
      FROM found WHERE found.action IS NOT NULL)
SELECT action FROM found WHERE action IS NOT NULL
"""


class ActorFilter(TextInputFilter):
    """Filters by the actor as the list shows it; "alice" also matches user:alice."""

    title = "actor"
    parameter_name = "by"

    def filter_rows(self, request: HttpRequest, queryset: Entries, text: str) -> Entries:
        return queryset.filter(actor__in=[text] if ":" in text else [text, f"user:{text}"])


class ActionFilter(admin.SimpleListFilter):
    """Filters by the action; the choices are the actions that occur in the audit log."""

    title = "action"
    parameter_name = "did"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(DISTINCT_ACTIONS)
            return [(action, action) for (action,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: Entries) -> Entries:
        return queryset.filter(action=self.value()) if self.value() else queryset


class OrganizationFilter(OrganizationTextFilter):
    """Filters by the key or id of an action's organization, including the id of a deleted organization."""

    title = "organization"
    parameter_name = "of"

    def filter_rows(self, request: HttpRequest, queryset: Entries, text: str) -> Entries:
        return queryset.filter(organization_id=id_to_filter_by(require_caller(request), text))


class FlagFilter(TextInputFilter):
    """Filters by the flag of a definition, of a value or of a scheduled change."""

    title = "flag"
    parameter_name = "flag"

    def filter_rows(self, request: HttpRequest, queryset: Entries, text: str) -> Entries:
        return about_flag(queryset, text)


class ChannelFilter(admin.SimpleListFilter):
    """Filters by the channel of the action."""

    title = "channel"
    parameter_name = "via"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("api", "API"),
            ("admin", "Admin site"),
            ("command", "Command"),
            ("worker", "Worker or periodic task"),
            ("schedule", "Scheduled change"),
        ]

    def queryset(self, request: HttpRequest, queryset: Entries) -> Entries:
        return queryset.filter(via=self.value()) if self.value() else queryset


class DaysFilter(RangeDateFilter):
    """Filters by the days from one day to another in UTC, including both days."""

    def queryset(self, request: HttpRequest, queryset: Entries) -> Entries:
        first, last = (self._day(end) for end in ("from", "to"))
        if first is not None:
            queryset = queryset.filter(at__gte=first)
        return queryset if last is None or last.date() == date.max else queryset.filter(at__lt=last + timedelta(days=1))

    def _day(self, end: str) -> datetime | None:
        """Return the start of the day in the query, or None if the query has no valid day."""
        try:
            return datetime.fromisoformat(str(self.used_parameters.get(f"at_{end}", ""))[:10]).replace(tzinfo=UTC)
        except ValueError:
            return None


@admin.register(AuditEntry)
class AuditEntryAdmin(OperatorAdmin):
    """The list of audit entries, newest first. A person with a scope sees the entries of this subtree only."""

    organization_field = "organization_id"
    paginator = CappedPaginator
    row_names = ("entry", "entries")
    list_display = ["when", "actor", "action", "subject", "of_organization", "reason", "channel", "of_request"]
    list_display_links = ["when"]
    list_filter = [ActorFilter, ActionFilter, FlagFilter, OrganizationFilter, ChannelFilter, ("at", DaysFilter)]
    list_filter_submit = True
    search_fields = ["subject"]
    search_help_text = "A subject, such as job:17 or key:4fG6aB, or a correlation id"
    sortable_by: list[str] = []
    fields = [
        "at", "actor", "action", "subject", "of_organization", "in_words", "reason", "channel", "correlation_id",
        "as_json",
    ]  # fmt: skip
    readonly_fields = ["at", "of_organization", "in_words", "channel", "as_json"]
    list_before_template = "admin/orgs/audit_csv_link.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            path("csv/", self.admin_site.admin_view(only_reads(self.csv_view)), name="orgs_auditentry_csv"),
            *super().get_urls(),
        ]

    def csv_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the entries of the list as a CSV file, the newest MAX_CSV_ROWS at most."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        entries = self.get_changelist_instance(request).get_queryset(request).order_by("-id")[:MAX_CSV_ROWS]
        rows = words.shown(entries, require_caller(request))
        answer = HttpResponse("".join(csv_lines(CSV_COLUMNS, map(csv_row, rows))), content_type=CSV)
        answer["Content-Disposition"] = 'attachment; filename="audit-log.csv"'
        return answer

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> AuditEntry | None:
        """Return the entry with its changes in words."""
        entry: AuditEntry | None = super().get_object(request, *args, **kwargs)
        if entry is not None:
            (shown,) = words.shown([entry], require_caller(request))
            entry.changes = shown.changes  # type: ignore[attr-defined]
        return entry

    @admin.display(description="before and after")
    def in_words(self, entry: AuditEntry) -> SafeString | str:
        changes: list[str] = entry.changes  # type: ignore[attr-defined]
        return format_html_join("", '<span class="fs-change">{}</span>', ((change,) for change in changes)) or "–"

    def get_queryset(self, request: HttpRequest) -> Entries:
        """Load the organizations by a second query: a join would lose the entries about deleted organizations."""
        entries: Entries = super().get_queryset(request)
        return entries.prefetch_related("organization")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Order by time if a person filters by time, because an index has this order; otherwise by id."""
        return ["-at", "-id"] if {"at_from", "at_to"} & request.GET.keys() else ["-id"]

    def get_search_results(self, request: HttpRequest, queryset: Entries, search_term: str) -> tuple[Entries, bool]:
        """Search for a subject by its first word, such as "key:4fG6aB", or for a correlation id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        pattern = Q(subject=term) | Q(subject__startswith=f"{term} ") | Q(correlation_id=term)
        return queryset.filter(pattern), False

    @admin.display(description="when (UTC)")
    def when(self, entry: AuditEntry) -> str:
        return f"{entry.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="organization")
    def of_organization(self, entry: AuditEntry) -> str:
        if entry.organization_id is None:
            return "–"
        return entry.organization.name if entry.organization else f"{entry.organization_id}, deleted"

    @admin.display(description="channel")
    def channel(self, entry: AuditEntry) -> str:
        return f"{entry.via} {entry.address}".strip()

    @admin.display(description="correlation id")
    def of_request(self, entry: AuditEntry) -> SafeString | str:
        return clipped(entry.correlation_id)

    @admin.display(description="details")
    def as_json(self, entry: AuditEntry) -> str:
        details = json.dumps(entry.details, indent=2, ensure_ascii=False)
        return format_html('<div class="fs-json">{}</div>', details)
