"""By what the admin site's list of jobs can be narrowed. Each of them has an index that gives the newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from jobs.engine.models import Job, Queue
from jobs.engine.states import Status
from jobs.metrics import outcome_filters, probe_job, statistics
from jobs.metrics.models import Probe
from orgs.access.operator_admin import TextInputFilter
from orgs.access.organizations import find_organization_by_key_or_id
from orgs.errors import OrganizationNotFound
from orgs.tree.models import Organization

Jobs = QuerySet[Job]
HOUR = "%Y-%m-%dT%H"
DAY = "24h"
"""The last 24 clock hours, the current one included, as the front page has them."""
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


class _Choice(admin.SimpleListFilter):
    """One of some values of a column."""

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class StatusFilter(_Choice):
    """By status."""

    title = "status"
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, status.value) for status in Status]


class QueueFilter(_Choice):
    """By queue."""

    title = "queue"
    parameter_name = "queue__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Queue.objects.order_by("name").values_list("name", flat=True)]


class TriggerFilter(_Choice):
    """By what made the attempt."""

    title = "made by"
    parameter_name = "trigger__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Job.Trigger.choices]


class CreatedFilter(admin.SimpleListFilter):
    """By when it was made: within the last hours or days."""

    title = "made within"
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("1h", "the last hour"), ("24h", "24 hours"), ("day", "24 hours of the clock"), ("7d", "7 days"),
            ("30d", "30 days"),
        ]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        if self.value() == "day":
            return queryset.filter(created_at__gte=statistics.first_hour())
        period = PERIODS.get(self.value() or "")
        return queryset.filter(created_at__gte=Now() - period) if period else queryset


class EndedFilter(TextInputFilter):
    """By the hour in which the attempt ended, as the front page's chart has it, or all of that chart's hours."""

    title = "ended in the hour (2026-11-25T20, UTC) or in all 24 hours (24h)"
    parameter_name = "ended"

    def filter_rows(self, queryset: Jobs, written: str) -> Jobs:
        if written == DAY:
            return queryset.filter(completed_at__gte=statistics.first_hour())
        try:
            hour = datetime.strptime(written, HOUR).replace(tzinfo=UTC)
            return queryset.filter(completed_at__gte=hour, completed_at__lt=hour + timedelta(hours=1))
        except (ValueError, OverflowError):
            return queryset.none()


class HowEndedFilter(admin.SimpleListFilter):
    """By how the attempt ended, as the front page counts it; a status says how the whole job stands."""

    title = "how it ended"
    parameter_name = "how"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return outcome_filters.CHOICES

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        return outcome_filters.filter_by_outcome(queryset, self.value() or "")


class OrganizationFilter(TextInputFilter):
    """By the organization that the change was made on, or any below it; by key or id."""

    title = "organization (key or id) and below"
    parameter_name = "below"

    def filter_rows(self, queryset: Jobs, written: str) -> Jobs:
        try:
            top = find_organization_by_key_or_id(written)
        except OrganizationNotFound:
            return queryset.none()
        return queryset.filter(organization_id__in=Organization.objects.under(top).values("pk"))


class FlagFilter(TextInputFilter):
    """By the flag's key."""

    title = "flag"
    parameter_name = "flag"

    def filter_rows(self, queryset: Jobs, written: str) -> Jobs:
        return queryset.filter(arguments__featureFlagName=written)


class RequestedByFilter(TextInputFilter):
    """By who asked for it, as it is written in the list; "alice" stands for user:alice."""

    title = "requested by"
    parameter_name = "by"

    def filter_rows(self, queryset: Jobs, written: str) -> Jobs:
        return queryset.filter(requested_by__in=[written] if ":" in written else [written, f"user:{written}"])


class ProbeJobFilter(admin.SimpleListFilter):
    """Leaves probe jobs out of the list unless a person asks for them."""

    title = "test jobs (canary)"
    parameter_name = "canary"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("too", "among the others"), ("only", "only these")]

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        if self.value() == "only":  # the records that are kept, found by what has an index
            latest = Probe.objects.values("job_id")
            return queryset.filter(Q(pk__in=latest) | Q(parent_job_id__in=latest))
        return queryset if self.value() == "too" else queryset.exclude(kind=probe_job.KIND)


FILTERS = [
    StatusFilter, QueueFilter, TriggerFilter, CreatedFilter, EndedFilter, HowEndedFilter, OrganizationFilter,
    FlagFilter, RequestedByFilter, ProbeJobFilter,
]  # fmt: skip
