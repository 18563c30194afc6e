"""The search of the side bar: pages, organizations, flags, jobs, people and more, each person within their scope.

Nothing is cached: a person whose scope has changed finds nothing of the former one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from flags.segments.models import Segment
from flagsite.core.ids import id_in
from jobs.engine.models import Job
from jobs.templatetags.job_formats import work
from orgs.access.models import AccessKey
from orgs.access.operator_admin import require_caller
from orgs.tree import browser
from orgs.tree.models import Organization

MAX_OF_A_KIND = 6
"""The maximum number of results of each kind."""
MAX_TERM = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A result: its title, a description of what it is, and its address."""

    title: str
    description: str
    link: str


@never_cache
def search(request: HttpRequest) -> HttpResponse:
    """Answer a search with the results, as a part of the side bar or as a page of its own."""
    term = request.GET.get("s", "").strip()[:MAX_TERM]
    context: dict[str, Any] = {"term": term, "results": results(request, term) if term else []}
    if "HX-Request" in request.headers:
        return TemplateResponse(request, "flagsite/search_results.html", context)
    frame = {**admin.site.each_context(request), "title": "Search"}
    return TemplateResponse(request, "flagsite/search_page.html", frame | context)


def results(request: HttpRequest, term: str) -> list[Found]:
    """Return what the person may see and the term names: some results of each kind.

    Args:
        request: a request of the signed-in person.
        term: a part of a name or key; the whole number of a job; a correlation id.
    """
    return [
        *_pages(request, term),
        *_organizations(request, term),
        *_flags(request, term),
        *_segments(request, term),
        *_jobs(request, term),
        *_schedules(request, term),
        *_people(request, term),
        *_access_keys(request, term),
    ]


def _pages(request: HttpRequest, term: str) -> list[Found]:
    site: Any = admin.site
    items = [item for group in site.get_sidebar_list(request) for item in group["items"] if item["has_permission"]]
    return [Found(item["title"], "Page", str(item["link"])) for item in items if term.lower() in item["title"].lower()]


def _organizations(request: HttpRequest, term: str) -> list[Found]:
    if not _may_view(request, Organization):
        return []
    found = browser.search(require_caller(request), term, limit=MAX_OF_A_KIND)
    return [Found(path, f"Organization {one.key}", _page_of(one)) for one, path in found]


def _flags(request: HttpRequest, term: str) -> list[Found]:
    return [Found(flag.key, f"Flag. {flag.description}", _page_of(flag)) for flag in _matching(request, Flag, term)]


def _segments(request: HttpRequest, term: str) -> list[Found]:
    found = _matching(request, Segment, term)
    return [Found(one.key, f"Segment. {one.description}", _page_of(one)) for one in found]


def _jobs(request: HttpRequest, term: str) -> list[Found]:
    """Jobs by number or by correlation id: both have an index."""
    number = id_in(term)
    matches = Q(pk=number) if number else Q(correlation_id=term)
    jobs = _visible(request, Job).filter(matches).order_by("-pk")[:MAX_OF_A_KIND]
    return [Found(f"Job {job.pk}", f"{job.status}: {work(job)}", _page_of(job)) for job in jobs]


def _schedules(request: HttpRequest, term: str) -> list[Found]:
    number = id_in(term)
    schedules = _visible(request, FlagSchedule).filter(pk=number) if number else []
    return [Found(f"Scheduled change {one.pk}", f"{one.status}: {one.flag_key}", _page_of(one)) for one in schedules]


def _people(request: HttpRequest, term: str) -> list[Found]:
    return [
        Found(one.get_username(), f"Person {one.get_full_name()}".strip(), _page_of(one))
        for one in _matching(request, User, term)
    ]


def _access_keys(request: HttpRequest, term: str) -> list[Found]:
    keys = _matching(request, AccessKey, term)
    at = reverse("admin:orgs_accesskey_changelist")
    return [Found(f"{key.name} ({key.prefix})", f"Access key, {key.role}", f"{at}?q={key.prefix}") for key in keys]


def _matching(request: HttpRequest, model: type[Model], term: str) -> list[Any]:
    """Return the rows that the search of the model's own list finds."""
    page = admin.site.get_model_admin(model)
    rows, _ = page.get_search_results(request, _visible(request, model), term)
    return list(rows[:MAX_OF_A_KIND])


def _visible(request: HttpRequest, model: type[Model]) -> Any:
    """Return the rows of the model's list in the person's scope; none for a person who may not open the list."""
    rows = admin.site.get_model_admin(model).get_queryset(request)
    return rows if _may_view(request, model) else rows.none()


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def _page_of(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
