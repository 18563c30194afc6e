"""The history in the admin site: who did what to what, when, why and from where. To read, never to change."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateFilter

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.ids import id_in
from orgs.access.operator_admin import OperatorAdmin, WrittenFilter, clipped
from orgs.access.organizations import find_organization_by_key_or_id
from orgs.audit.models import HistoryEntry
from orgs.errors import OrganizationNotFound

Entries = QuerySet[HistoryEntry]

ACTIONS = """
WITH RECURSIVE found AS (  -- one step in the index history_of_action for each action, however many entries
    (SELECT action FROM orgs_historyentry ORDER BY action LIMIT 1)
     UNION ALL
    SELECT (SELECT action FROM orgs_historyentry WHERE action > found.action ORDER BY action LIMIT 1)
      FROM found WHERE found.action IS NOT NULL)
SELECT action FROM found WHERE action IS NOT NULL
"""


class ActorFilter(WrittenFilter):
    """By who did it, as it is written in the list; "alice" stands for user:alice."""

    title = "actor"
    parameter_name = "by"

    def narrowed(self, queryset: Entries, written: str) -> Entries:
        return queryset.filter(actor__in=[written] if ":" in written else [written, f"user:{written}"])


class ActionFilter(admin.SimpleListFilter):
    """By what was done, of all that was ever done."""

    title = "action"
    parameter_name = "did"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(ACTIONS)
            return [(action, action) for (action,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: Entries) -> Entries:
        return queryset.filter(action=self.value()) if self.value() else queryset


class OrganizationFilter(WrittenFilter):
    """By the organization that it concerned, by key or id; of one that was deleted the id still finds it."""

    title = "organization's key or id"
    parameter_name = "of"

    def narrowed(self, queryset: Entries, written: str) -> Entries:
        try:
            return queryset.filter(organization_id=find_organization_by_key_or_id(written).pk)
        except OrganizationNotFound:
            gone = id_in(written)
            return queryset.filter(organization_id=gone) if gone else queryset.none()


class ViaFilter(admin.SimpleListFilter):
    """By the door that it came through."""

    title = "door"
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
    """From one day to another, both included, in UTC."""

    def queryset(self, request: HttpRequest, queryset: Entries) -> Entries:
        first, last = (self._day(end) for end in ("from", "to"))
        if first is not None:
            queryset = queryset.filter(at__gte=first)
        return queryset if last is None or last.date() == date.max else queryset.filter(at__lt=last + timedelta(days=1))

    def _day(self, end: str) -> datetime | None:
        """When that day begins; None for what is no day."""
        try:
            return datetime.fromisoformat(str(self.used_parameters.get(f"at_{end}", ""))[:10]).replace(tzinfo=UTC)
        except ValueError:
            return None


@admin.register(HistoryEntry)
class HistoryAdmin(OperatorAdmin):
    """Newest first. A bound person sees what concerned the organizations of their subtree."""

    organization_field = "organization_id"
    paginator = CappedPaginator
    rows_called = ("entry", "entries")
    list_display = ["when", "actor", "action", "subject", "of_organization", "reason", "origin", "of_request"]
    list_display_links = ["when"]
    list_filter = [ActorFilter, ActionFilter, OrganizationFilter, ViaFilter, ("at", DaysFilter)]
    list_filter_submit = True
    search_fields = ["subject"]
    search_help_text = "What it was done to, such as job:17 or key:4fG6aB, or a correlation id"
    sortable_by: list[str] = []
    fields = ["at", "actor", "action", "subject", "of_organization", "reason", "origin", "correlation_id", "as_json"]
    readonly_fields = ["at", "of_organization", "origin", "as_json"]

    def get_queryset(self, request: HttpRequest) -> Entries:
        """With the organizations, by a query of their own: a join would lose the entries of those that are gone."""
        entries: Entries = super().get_queryset(request)
        return entries.prefetch_related("organization")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """By time where times are asked for, which an index has in that order; entries have their ids in it too."""
        return ["-at", "-id"] if {"at_from", "at_to"} & request.GET.keys() else ["-id"]

    def get_search_results(self, request: HttpRequest, queryset: Entries, search_term: str) -> tuple[Entries, bool]:
        """Subjects begin with "key:4fG6aB"; what follows after a space is for people."""
        term = search_term.strip()
        if not term:
            return queryset, False
        pattern = Q(subject=term) | Q(subject__startswith=f"{term} ") | Q(correlation_id=term)
        return queryset.filter(pattern), False

    @admin.display(description="when (UTC)")
    def when(self, entry: HistoryEntry) -> str:
        return f"{entry.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="organization")
    def of_organization(self, entry: HistoryEntry) -> str:
        if entry.organization_id is None:
            return "–"
        return entry.organization.name if entry.organization else f"{entry.organization_id}, deleted"

    @admin.display(description="from where")
    def origin(self, entry: HistoryEntry) -> str:
        return f"{entry.via} {entry.address}".strip()

    @admin.display(description="correlation id")
    def of_request(self, entry: HistoryEntry) -> SafeString | str:
        return clipped(entry.correlation_id)

    @admin.display(description="details")
    def as_json(self, entry: HistoryEntry) -> str:
        shown = json.dumps(entry.details, indent=2, ensure_ascii=False)
        return format_html('<div class="fs-json">{}</div>', shown)
