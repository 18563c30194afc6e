"""The admin site's read-only pages of the audit log: each entry as a sentence, with its codes, channel and values."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateFilter

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.csv_output import csv_lines
from flagsite.core.reading_pages import only_reads
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, TextInputFilter, require_caller
from orgs.access.organization_picker import OrganizationTextFilter
from orgs.access.visible_organizations import id_to_filter_by
from orgs.audit import undo_pages, words
from orgs.audit.models import AuditEntry
from orgs.audit.on_pages import PageEntry, by_operation, on_page
from orgs.audit.selectors import about_flag, named
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


class OperationList(SingleCountChangeList):
    """The list with one row for each operation of the page: its other entries are folded below the sentence."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = by_operation(self.result_list, require_caller(request))
        for row in rows:
            row.entry.on_page = row  # type: ignore[attr-defined]
        self.result_list: Any = [row.entry for row in rows]


@admin.register(AuditEntry)
class AuditEntryAdmin(OperatorAdmin):
    """The list of audit entries, newest first. A person with a scope sees the entries of this subtree only."""

    organization_field = "organization_id"
    paginator = CappedPaginator
    row_names = ("entry", "entries")
    list_display = ["when", "what", "of_organization", "channel"]
    list_display_links = ["when"]
    list_filter = [ActorFilter, ActionFilter, FlagFilter, OrganizationFilter, ChannelFilter, ("at", DaysFilter)]
    list_filter_submit = True
    search_fields = ["subject"]
    search_help_text = "A flag, an organization, a person, a subject such as job:17, or a correlation id"
    sortable_by: list[str] = []
    fields = [
        "sentence", "at", "of_organization", "in_words", "reason", "actor", "action", "subject", "channel",
        "of_operation", "as_json",
    ]  # fmt: skip
    readonly_fields = ["sentence", "undo", "at", "of_organization", "in_words", "channel", "of_operation", "as_json"]
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OperationList]:
        return OperationList

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> AuditEntry | None:
        """Return the entry with its sentence and its changes in words."""
        entry: AuditEntry | None = super().get_object(request, *args, **kwargs)
        if entry is not None:
            (entry.on_page,) = on_page([entry], require_caller(request))  # type: ignore[attr-defined]
        return entry

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Add the link to the undo, if the person may undo what the entry tells."""
        address = undo_pages.address_of(obj, require_caller(request)) if obj else None
        if address is None:
            return self.fields
        obj.undo_address = address
        return [*self.fields[:1], "undo", *self.fields[1:]]

    @admin.display(description="undo")
    def undo(self, entry: Any) -> SafeString:
        return format_html('<a class="fs-button" href="{}">Undo this change</a>', entry.undo_address)

    @admin.display(description="what was done")
    def sentence(self, entry: AuditEntry) -> SafeString:
        return _shown(entry).html

    @admin.display(description="what was done")
    def what(self, entry: AuditEntry) -> SafeString:
        return render_to_string("admin/orgs/entry.html", {"one": _shown(entry)})

    @admin.display(description="before and after")
    def in_words(self, entry: AuditEntry) -> SafeString | str:
        changes = ((change,) for change in _shown(entry).changes)
        return format_html_join("", '<span class="fs-change">{}</span>', changes) or "–"

    def get_queryset(self, request: HttpRequest) -> Entries:
        """Load the organizations by a second query: a join would lose the entries about deleted organizations."""
        entries: Entries = super().get_queryset(request)
        return entries.prefetch_related("organization")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Order by time if a person filters by time, because an index has this order; otherwise by id."""
        return ["-at", "-id"] if {"at_from", "at_to"} & request.GET.keys() else ["-id"]

    def get_search_results(self, request: HttpRequest, queryset: Entries, search_term: str) -> tuple[Entries, bool]:
        """Search by plain names, see `orgs.audit.selectors.named`."""
        term = search_term.strip()
        return named(queryset, require_caller(request), term) if term else queryset, False

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
    def of_operation(self, entry: AuditEntry) -> SafeString | str:
        if not entry.correlation_id:
            return "–"
        address = f"{reverse('admin:orgs_auditentry_changelist')}?{urlencode({'q': entry.correlation_id})}"
        return format_html('<a class="fs-name" href="{}">{}</a>', address, entry.correlation_id)

    @admin.display(description="details")
    def as_json(self, entry: AuditEntry) -> str:
        details = json.dumps(entry.details, indent=2, ensure_ascii=False)
        return format_html('<div class="fs-json">{}</div>', details)


def _shown(entry: AuditEntry) -> PageEntry:
    """Return the entry as the page shows it, which the list and `get_object` have prepared."""
    shown: PageEntry = entry.on_page  # type: ignore[attr-defined]
    return shown
