"""The top of the front page: what was changed today, what runs now, and what is killed, locked, failing or stale.

A person who is bound to an organization sees what concerns its subtree only. Each part reads a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, Max
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.insights.staleness import with_staleness
from flags.schedules.models import FlagSchedule
from flags.schedules.selectors import schedules_of
from flags.states import recalculation
from flags.states.drift import known_drift
from flags.states.models import FlagSetting
from flags.states.setting_rules import LOCK
from flagsite.core.db.clock import now
from jobs.engine.chains import jobs_of
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.metrics import probe_job
from jobs.metrics.subtree_statistics import NEWEST_JOBS
from jobs.templatetags.job_formats import work
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.operator_admin import caller_of
from orgs.access.visible_organizations import visible_organizations
from orgs.audit.models import AuditEntry
from orgs.audit.on_pages import PageEntry, by_operation
from orgs.audit.selectors import visible_entries
from orgs.tree.paths import path_names_of

REFRESH_SECONDS = 30
MAX_CHANGES = 10
"""Operations of today that the page tells."""
READ_ENTRIES = 60
"""Entries from which the page gathers them: several entries may be of one operation."""
NEWEST_ENTRIES = 10_000
"""Of so many entries of today, the newest ones, the page tells a person with a scope those of the subtree."""
MAX_NAMED = 5
"""Flags, jobs and scheduled changes that one card names."""
MAX_COUNTED = 1_000
MAX_RUNNING = 10
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Card:
    """Something to look after: its label, how many there are, the list of all, and the first ones with their pages."""

    name: str
    label: str
    count: str
    link: str
    first: Sequence[tuple[str, str]]
    is_bad: bool


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs now, and the path of its organization."""

    job: Job
    where: str


@fragment
def live(request: HttpRequest) -> HttpResponse:
    """The part of the front page with the changes of today, which updates itself."""
    return TemplateResponse(request, "flagsite/overview_today.html", context_of(request))


def context_of(request: HttpRequest) -> dict[str, Any]:
    """Return the changes of today, and what the signed-in person should look after, as a template context."""
    caller = caller_of(request)
    shared = {"today_refresh_seconds": REFRESH_SECONDS}
    if caller is None:
        return shared
    begin = now().replace(hour=0, minute=0, second=0, microsecond=0)
    day = f"{begin:%Y-%m-%d}"
    log = reverse("admin:orgs_auditentry_changelist")
    return shared | {
        "changes": changes_since(caller, begin)[:MAX_CHANGES],
        "all_changes": f"{log}?{urlencode({'at_from': day, 'at_to': day})}",
        "audit_log": log,
        "cards": [
            *_drift(caller),
            _killed(caller),
            _locks(caller),
            _failed_jobs(caller),
            _failed_schedules(caller),
            _stale(caller),
        ],
    }


def changes_since(caller: Caller, begin: Any) -> list[PageEntry]:
    """Return what was done since this time, newest first, with one entry for each operation."""
    newest = AuditEntry.objects.filter(at__gte=begin).order_by("-at", "-id")
    if caller.organization_id is not None:
        newest = visible_entries(caller).filter(pk__in=newest.values("pk")[:NEWEST_ENTRIES]).order_by("-at", "-id")
    return by_operation(newest.prefetch_related("organization")[:READ_ENTRIES], caller)


def running_context(caller: Caller) -> dict[str, Any]:
    """Return the jobs that run now, the longest first, as a template context, with two queries."""
    jobs = jobs_of(caller).filter(status=Status.IN_PROGRESS).exclude(kind=probe_job.KIND)
    found = list(jobs.order_by(F("started_at").asc(nulls_last=True), "id")[: MAX_RUNNING + 1])
    shown = found[:MAX_RUNNING]
    paths = path_names_of({job.organization_id for job in shown if job.organization_id}, top_id=caller.organization_id)
    return {
        "running": [Running(job, " › ".join(paths.get(job.organization_id or 0, []))) for job in shown],
        "more_run": len(found) > MAX_RUNNING,
    }


def _killed(caller: Caller) -> Card:
    flags = visible_flags(caller).filter(killed=True, archived=False)
    return _of_flags("killed", "Killed flags", flags, _list("flags_flag", killed__exact="1", archived__exact="0"))


def _locks(caller: Caller) -> Card:
    locks = FlagSetting.objects.filter(kind=LOCK, flag__archived=False)
    if caller.organization_id is not None:
        locks = locks.filter(organization_id__in=visible_organizations(caller).values("pk"))
    found = list(locks.select_related("flag", "organization").order_by("-number")[: MAX_COUNTED + 1])
    pages = (
        (
            f"{lock.flag.key} {'on' if lock.enabled else 'off'} for {lock.organization.name}",
            reverse("admin:orgs_organization_change", args=[lock.organization_id]),
        )
        for lock in found
    )
    link = _list("orgs_auditentry", did="flag.lock")
    return _card("locks", "Locks", link, pages, len(found), is_bad=False)


def _stale(caller: Caller) -> Card:
    flags = with_staleness(visible_flags(caller)).filter(is_stale=True)
    return _of_flags("stale", "Stale flags", flags, reverse("admin:flags_flag_stale"), is_bad=False)


def _of_flags(name: str, label: str, flags: Any, link: str, *, is_bad: bool = True) -> Card:
    found: list[Flag] = list(flags.order_by("key").only("pk", "key")[: MAX_COUNTED + 1])
    pages = ((flag.key, reverse("admin:flags_flag_change", args=[flag.pk])) for flag in found)
    return _card(name, label, link, pages, len(found), is_bad=is_bad)


def _drift(caller: Caller) -> list[Card]:
    """Return a card if flag states are not what the settings say. It is nothing that people with a scope can mend."""
    count = known_drift() if caller.organization_id is None else 0
    link = f"{reverse('admin:jobs_job_enqueue')}?{urlencode({'kind': recalculation.KIND})}"
    pages = [("Compare and mend them", link)]
    return [_card("drift", "Flag states that differ from the settings", link, pages, count)] if count else []


def _failed_jobs(caller: Caller) -> Card:
    newest = Job.objects.aggregate(newest=Max("pk"))["newest"] or 0
    jobs = jobs_of(caller).filter(
        status=Status.FAILED, parent_job=None, created_at__gt=now() - RECENT, pk__gt=newest - NEWEST_JOBS
    )
    found = list(jobs.exclude(kind=probe_job.KIND).order_by("-id")[: MAX_COUNTED + 1])
    link = _list("jobs_job", status__exact=Status.FAILED, within="day", parent_job__isnull="True")
    pages = ((f"{job.pk} {_plain(work(job))}", reverse("admin:jobs_job_change", args=[job.pk])) for job in found)
    return _card("failed-jobs", "Jobs of the last day that failed", link, pages, len(found))


def _failed_schedules(caller: Caller) -> Card:
    failed = schedules_of(caller).filter(status=FlagSchedule.Status.FAILED).order_by("-id")
    found = list(failed.only("pk", "flag_key")[: MAX_COUNTED + 1])
    link = _list("flags_flagschedule", status__exact=FlagSchedule.Status.FAILED)
    pages = ((f"{one.pk} {one.flag_key}", reverse("admin:flags_flagschedule_change", args=[one.pk])) for one in found)
    return _card("failed-schedules", "Scheduled changes that failed", link, pages, len(found))


def _card(
    name: str, label: str, link: str, pages: Iterable[tuple[str, str]], count: int, *, is_bad: bool = True
) -> Card:
    words = f"more than {MAX_COUNTED:,}" if count > MAX_COUNTED else f"{count:,}"
    first = [page for page, _ in zip(pages, range(MAX_NAMED), strict=False)]
    return Card(name, label, words, link, first, is_bad and count > 0)


def _plain(html: Any) -> str:
    return str(html).replace("<strong>", "").replace("</strong>", "")


def _list(model: str, **filters: str) -> str:
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode(filters)}"
