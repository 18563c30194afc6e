"""The front page of the admin site: how Flagsite is doing, at a glance. A bound person sees their subtree's jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from jobs.admin.job_filters import DAY, HOUR
from jobs.counting.models import AttemptOutcome
from jobs.engine import worker_registry
from jobs.engine.states import Status
from jobs.metrics import statistics
from jobs.metrics.outcome_filters import LAST
from jobs.metrics.statistics import Day, Hour
from jobs.metrics.subtree_statistics import NEWEST_JOBS, statistics_of
from jobs.operations import queue_operations
from jobs.templatetags.job_figures import duration, percent
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.operator_admin import caller_of
from orgs.tree.models import Organization

REFRESH_SECONDS = 5
SHOWN = (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.RETRIED, AttemptOutcome.CANCELLED)
RETRIES = {"parent_job__isnull": "False"}
ENDED, MADE = {"ended": DAY}, {"within": "day"}
"""In the hours that the figures are of."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name, how to read it, and the list that it comes from."""

    label: str
    value: str
    note: str
    link: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar; `height` is its share of the tallest bar in percent."""

    outcome: str
    count: int
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour of the chart, and the list of what ended in it."""

    hour: Hour
    parts: list[Part]
    link: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the front page shows; django-unfold asks for it (DASHBOARD_CALLBACK)."""
    return context | figures(request) | {"title": "Overview"}


@fragment
def live(request: HttpRequest) -> HttpResponse:
    """The figures alone, for the page that has been opened before."""
    return TemplateResponse(request, "flagsite/overview_figures.html", figures(request))


def figures(request: HttpRequest) -> dict[str, Any]:
    """The figures that the person who is signed in may see."""
    caller = caller_of(request)
    shared = {"refresh_seconds": REFRESH_SECONDS}
    if caller is None:
        return shared
    return shared | (_of_everything() if caller.organization_id is None else _of_subtree(caller))


def _of_everything() -> dict[str, Any]:
    day, known = statistics.last_day(), worker_registry.all_workers()
    return _of_jobs(statistics.counts_by_status(), day, "estimated from how many jobs fell into 14 ranges of time") | {
        "lines": queue_operations.queue_statuses(),
        "workers": [one for one in known if one.is_alive],
        "gone": sum(not one.is_alive for one in known),
    }


def _of_subtree(caller: Caller) -> dict[str, Any]:
    of_theirs = statistics_of(caller)
    return _of_jobs(of_theirs.counts, of_theirs.day, "of these jobs") | {
        "organization": Organization.objects.filter(pk=caller.organization_id).first(),
        "newest": NEWEST_JOBS,
    }


def _of_jobs(counts: dict[str, int], day: Day, percentile_note: str) -> dict[str, Any]:
    return {
        "statuses": [
            (status, counts[status], jobs_list(status__exact=status, canary="too")) for status in Status.values
        ],
        "bars": _bars(day),
        "totals": [
            (outcome.value, day.total(outcome.value), jobs_list(how=outcome.value, **ENDED)) for outcome in SHOWN
        ],
        "day": day,
        "rates": _rates(day, percentile_note),
    }


def _rates(day: Day, percentile_note: str) -> list[Figure]:
    """The figures of the day; each label says what is divided by what, and the list has what is divided."""
    completed = jobs_list(how=AttemptOutcome.COMPLETED.value, **ENDED)
    all_ended = day.jobs_completed + day.jobs_failed
    ended = f"{day.jobs_completed:,} of {_counted(all_ended, 'job', 'jobs')} that came to an end"
    retried = f"{day.retries_completed:,} of {_counted(day.retries_ended, 'retry', 'retries')} that ended"
    asked_for = _counted(day.retries, "retry", "retries")
    per_job = "–" if day.retries_per_job is None else f"{day.retries_per_job:.2f}"
    return [
        Figure("Success rate", percent(day.success_rate), ended,
               jobs_list(how=LAST, status__exact=Status.COMPLETED, **ENDED)),
        Figure(
            "Retry success rate", percent(day.retry_success_rate), retried,
            jobs_list(**RETRIES, how=AttemptOutcome.COMPLETED.value, **ENDED),
        ),
        Figure("Retries per job", per_job, f"{asked_for} asked for", jobs_list(**RETRIES, **MADE)),
        Figure(
            "Share of manual retries", percent(day.manual_share), f"{day.manual_retries:,} by a person",
            jobs_list(trigger__exact="manual", **MADE),
        ),
        Figure("Average time to complete", duration(day.average), "from the request to the end", completed),
        Figure("95% completed within", duration(day.percentile), f"95th percentile, {percentile_note}", completed),
    ]  # fmt: skip


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _bars(day: Day) -> list[Bar]:
    tallest = max((hour.total for hour in day.hours), default=0) or 1
    return [
        Bar(
            hour,
            [_part(hour, outcome.value, tallest) for outcome in SHOWN if getattr(hour, outcome.value)],
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
