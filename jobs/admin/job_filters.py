"""The filters of the admin site's list of jobs. Each filter has an index that returns the newest jobs first."""

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
from orgs.access.operator_admin import TextInputFilter, require_caller
from orgs.access.organization_picker import OrganizationTextFilter
from orgs.access.visible_organizations import find_visible_organization
from orgs.tree.models import Organization

Jobs = QuerySet[Job]
HOUR = "%Y-%m-%dT%H"
DAY = "24h"
"""The value of `EndedFilter` for the last 24 clock hours with the current hour, as on the overview."""
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


class _Choice(admin.SimpleListFilter):
    """Filters by one of several values of a column."""

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class StatusFilter(_Choice):
    """Filters by status."""

    title = "status"
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, status.value) for status in Status]


class QueueFilter(_Choice):
    """Filters by queue."""

    title = "queue"
    parameter_name = "queue__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Queue.objects.order_by("name").values_list("name", flat=True)]


class TriggerFilter(_Choice):
    """Filters by the trigger of the attempt: a request, a person's retry or an automatic retry."""

    title = "trigger"
    parameter_name = "trigger__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Job.Trigger.choices]


class CreatedFilter(admin.SimpleListFilter):
    """Filters by the time of creation: within the last hours or days."""

    title = "created within"
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("1h", "the last hour"), ("24h", "24 hours"), ("day", "24 clock hours"), ("7d", "7 days"),
            ("30d", "30 days"),
        ]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        if self.value() == "day":
            return queryset.filter(created_at__gte=statistics.first_hour())
        period = PERIODS.get(self.value() or "")
        return queryset.filter(created_at__gte=Now() - period) if period else queryset


class EndedFilter(TextInputFilter):
    """Filters by the hour in which the attempt ended, as in the overview's chart, or by all 24 hours of the chart."""

    title = "ended in the hour (2026-11-25T20, UTC) or in the last 24 hours (24h)"
    parameter_name = "ended"

    def filter_rows(self, request: HttpRequest, queryset: Jobs, written: str) -> Jobs:
        if written == DAY:
            return queryset.filter(completed_at__gte=statistics.first_hour())
        try:
            hour = datetime.strptime(written, HOUR).replace(tzinfo=UTC)
            return queryset.filter(completed_at__gte=hour, completed_at__lt=hour + timedelta(hours=1))
        except (ValueError, OverflowError):
            return queryset.none()


class HowEndedFilter(admin.SimpleListFilter):
    """Filters by the outcome of the attempt, as the overview counts it. The status, in contrast, may change later."""

    title = "how it ended"
    parameter_name = "how"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return outcome_filters.CHOICES

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        return outcome_filters.filter_by_outcome(queryset, self.value() or "")


class SubtreeFilter(OrganizationTextFilter):
    """Filters by the subtree of an organization, which is given by key or id."""

    title = "organization and below"
    parameter_name = "below"

    def filter_rows(self, request: HttpRequest, queryset: Jobs, written: str) -> Jobs:
        top = find_visible_organization(require_caller(request), written)
        return queryset.filter(organization_id__in=Organization.objects.under(top).values("pk"))


class FlagFilter(TextInputFilter):
    """Filters by the key of the flag."""

    title = "flag"
    parameter_name = "flag"

    def filter_rows(self, request: HttpRequest, queryset: Jobs, written: str) -> Jobs:
        return queryset.filter(arguments__featureFlagName=written)


class RequestedByFilter(TextInputFilter):
    """Filters by the actor who requested the job, as shown in the list; "alice" also stands for "user:alice"."""

    title = "requested by"
    parameter_name = "by"

    def filter_rows(self, request: HttpRequest, queryset: Jobs, written: str) -> Jobs:
        return queryset.filter(requested_by__in=[written] if ":" in written else [written, f"user:{written}"])


class ProbeJobFilter(admin.SimpleListFilter):
    """Leaves probe jobs out of the list unless a person chooses to see them."""

    title = "probe jobs"
    parameter_name = "canary"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("too", "with the other jobs"), ("only", "only probe jobs")]

    def queryset(self, request: HttpRequest, queryset: Jobs) -> Jobs:
        if self.value() == "only":  # an index finds these ids; no index finds all probe jobs
            latest = Probe.objects.values("job_id")
            return queryset.filter(Q(pk__in=latest) | Q(parent_job_id__in=latest))
        return queryset if self.value() == "too" else queryset.exclude(kind=probe_job.KIND)


FILTERS = [
    StatusFilter, QueueFilter, TriggerFilter, CreatedFilter, EndedFilter, HowEndedFilter, SubtreeFilter,
    FlagFilter, RequestedByFilter, ProbeJobFilter,
]  # fmt: skip
