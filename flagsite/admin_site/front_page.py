"""The front page of the admin site: the changes of today (`today`), then jobs, queues and workers.

A person who is bound to an organization sees the jobs of its subtree only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from flags.definitions.who_may_define import may_define
from flags.evaluation import job_gates
from flagsite.admin_site import today
from flagsite.core.words import counted
from jobs.admin.job_filters import DAY, HOUR
from jobs.counting.models import AttemptOutcome
from jobs.engine import worker_registry
from jobs.engine.states import Status
from jobs.metrics import statistics
from jobs.metrics.outcome_filters import LAST
from jobs.metrics.statistics import Day, Hour
from jobs.metrics.subtree_statistics import NEWEST_JOBS, statistics_of
from jobs.operations import queue_operations
from jobs.templatetags.job_formats import duration, percent
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.operator_admin import caller_of
from orgs.tree.models import Organization

REFRESH_SECONDS = 5
OUTCOMES = (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.RETRIED, AttemptOutcome.CANCELLED)
"""The outcomes that the chart shows, from the bottom of a bar to its top."""
FIRST_ATTEMPTS, RETRIES = {"parent_job__isnull": "True"}, {"parent_job__isnull": "False"}
ENDED, CREATED = {"ended": DAY}, {"within": "day"}
"""Filters of the list of jobs for the 24 hours of the chart."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A statistic with its label, its value, an explanation, and a link to the list of the jobs that it counts."""

    label: str
    value: str
    note: str
    link: str


@dataclass(frozen=True, slots=True)
class Part:
    """The attempts with one outcome in a bar of the chart; `height` is a percentage of the tallest bar."""

    outcome: str
    count: int
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour of the chart, with a link to the list of the attempts that ended in it."""

    hour: Hour
    parts: list[Part]
    link: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The template context of the front page. django-unfold calls this function (DASHBOARD_CALLBACK)."""
    return context | today.context_of(request) | overview_context(request) | {"title": "Overview"}


@fragment
def live(request: HttpRequest) -> HttpResponse:
    """The part of the front page that updates itself."""
    return TemplateResponse(request, "flagsite/overview_live.html", overview_context(request))


def overview_context(request: HttpRequest) -> dict[str, Any]:
    """The statistics that the signed-in person may see, as a template context."""
    caller = caller_of(request)
    shared = {"refresh_seconds": REFRESH_SECONDS}
    if caller is None:
        return shared
    figures = _of_everything(caller) if caller.organization_id is None else _of_subtree(caller)
    return shared | figures | today.running_context(caller)


def _of_everything(caller: Caller) -> dict[str, Any]:
    day, workers = statistics.last_day(), worker_registry.all_workers()
    queues = queue_operations.queue_statuses()
    return _of_jobs(statistics.counts_by_status(), day, "estimated from the numbers of jobs in 14 ranges of time") | {
        "queue_statuses": queues,
        "gates": job_gates.all_gates(),
        "may_switch": may_define(caller),
        "unserved": [status for status in queues if status.is_unserved],
        "unknown_kinds": worker_registry.kinds_nobody_knows(),
        "workers": [worker for worker in workers if worker.is_alive],
        "gone": sum(not worker.is_alive for worker in workers),
    }


def _of_subtree(caller: Caller) -> dict[str, Any]:
    subtree = statistics_of(caller)
    return _of_jobs(subtree.counts, subtree.day, "of these jobs") | {
        "organization": Organization.objects.filter(pk=caller.organization_id).first(),
        "newest": NEWEST_JOBS,
    }


def _of_jobs(counts: dict[str, int], day: Day, percentile_note: str) -> dict[str, Any]:
    return {
        "statuses": [
            (status, counts[status], jobs_list(**FIRST_ATTEMPTS, status__exact=status, canary="too"))
            for status in Status.values
        ],
        "bars": _bars(day),
        "totals": [
            (outcome.value, day.total(outcome.value), jobs_list(how=outcome.value, **ENDED)) for outcome in OUTCOMES
        ],
        "day": day,
        "rates": _rates(day, percentile_note),
    }


def _rates(day: Day, percentile_note: str) -> list[Rate]:
    """The statistics of the day. Each note has numerator and denominator; the link lists the jobs of the numerator."""
    completed = jobs_list(how=AttemptOutcome.COMPLETED.value, **ENDED)
    all_ended = day.jobs_completed + day.jobs_failed
    ended = f"{day.jobs_completed:,} of {counted(all_ended, 'job')} that ended"
    retried = f"{day.retries_completed:,} of {counted(day.retries_ended, 'retry', 'retries')} that ended"
    requested = counted(day.retries, "retry", "retries")
    per_job = "–" if day.retries_per_job is None else f"{day.retries_per_job:.2f}"
    return [
        Rate("Success rate", percent(day.success_rate), ended,
               jobs_list(how=LAST, status__exact=Status.COMPLETED, **ENDED)),
        Rate(
            "Retry success rate", percent(day.retry_success_rate), retried,
            jobs_list(**RETRIES, how=AttemptOutcome.COMPLETED.value, **ENDED),
        ),
        Rate("Retries per job", per_job, f"{requested} created", jobs_list(**RETRIES, **CREATED)),
        Rate(
            "Share of manual retries", percent(day.manual_share), f"{day.manual_retries:,} by a person",
            jobs_list(trigger__exact="manual", **CREATED),
        ),
        Rate("Average time to complete", duration(day.average), "from the request to the end", completed),
        Rate("95% completed within", duration(day.percentile), f"95th percentile, {percentile_note}", completed),
    ]  # fmt: skip


def _bars(day: Day) -> list[Bar]:
    tallest = max((hour.total for hour in day.hours), default=0) or 1
    return [
        Bar(
            hour,
            [_part(hour, outcome.value, tallest) for outcome in OUTCOMES if getattr(hour, outcome.value)],
            jobs_list(ended=f"{hour.start:{HOUR}}"),
        )
        for hour in day.hours
    ]


def _part(hour: Hour, outcome: str, tallest: int) -> Part:
    count = getattr(hour, outcome)
    return Part(outcome, count, round(100 * count / tallest, 2))


def jobs_list(**filters: str) -> str:
    """The address of the list of jobs with these filters set."""
    return f"{reverse('admin:jobs_job_changelist')}?{urlencode(filters)}"
