"""A flag's page in the admin site: the tree of the flag first, then its history, usage, schedules and rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from flags.definitions.forms import DefinitionOperation
from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.insights import askers, flag_tree, staleness, usage_store
from flags.schedules.admin import describe
from flags.schedules.selectors import schedules_of
from flags.states import selectors
from flags.states.setting_rules import LOCK
from flagsite.core.ids import id_in
from jobs.engine.chains import jobs_of
from jobs.engine.models import Job
from jobs.engine.states import Status
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin
from orgs.audit import words
from orgs.audit.on_pages import by_operation
from orgs.audit.selectors import about_flag, visible_entries
from orgs.errors import OrganizationNotFound
from orgs.tree.browser import path_context
from orgs.tree.paths import path_names_of

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

MAX_SCHEDULES = 10
MAX_UNDER_WAY = 5
UNDER_WAY = (Status.PENDING, Status.IN_PROGRESS, Status.RETRYING)


class FlagPages(Pages):
    """The mixin that adds a flag's page and its parts to the pages of flags. A person sees what is in their scope."""

    def flag_page_urls(self) -> list[URLPattern]:
        """Return the URL patterns of the parts of the page."""
        return [
            path("<int:flag_id>/tree/", fragment(self.tree_view), name="flags_flag_tree"),
            path("<int:flag_id>/under-way/", fragment(self.under_way_view), name="flags_flag_under_way"),
            path("<int:flag_id>/askers/", fragment(self.askers_view), name="flags_flag_askers"),
        ]

    def operations_on(self, request: HttpRequest, flag: Flag) -> list[DefinitionOperation]:
        """Return the operations that the person may do with the flag as it is."""
        raise NotImplementedError

    def flag_page(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Show the page. It also answers to a search within the tree, and lists the settings of the flag."""
        flag, caller = self.visible_flag(request, flag_id)
        flag = staleness.with_staleness(Flag.objects.filter(pk=flag.pk)).get()
        usage = None if caller.organization_id else usage_store.usage_everywhere([flag])[flag.pk]
        entries = about_flag(visible_entries(caller), flag.key).order_by("-id")[: words.MAX_SHOWN]
        context = {
            "title": flag.key,
            "original": flag,
            "flag": flag,
            "off_for_everybody": selectors.why_off_for_everybody(flag.key),
            "stale": staleness.reasons_of(flag, usage),
            "usage": usage,
            "sees_all": caller.organization_id is None,
            "history": by_operation(entries, caller),
            "history_query": urlencode({"flag": flag.key}),
            "history_has_organizations": True,
            "schedules": _schedules(caller, flag),
            "under_way": _under_way(caller, flag),
            **_tree_context(request, caller, flag, at_once=True),
            "operations": self.operations_on(request, flag),
        }
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/flags/flag_page.html", frame | context)

    def tree_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Answer with a part of the tree: the organizations below one, or the top of the tree with its figures."""
        flag, caller = self.visible_flag(request, flag_id)
        parent_id, after_id = id_in(request.GET.get("parent", "")), id_in(request.GET.get("after", ""))
        context: dict[str, Any] = {"flag": flag, "parent_id": parent_id, "may_set": may_set(caller, flag)}
        if not parent_id and not after_id:
            context |= _tree_context(request, caller, flag, at_once=False)
            return TemplateResponse(request, "admin/flags/flag_tree.html", context)
        try:
            context["branch"] = flag_tree.branch_below(caller, flag, parent_id, after_id=after_id)
        except OrganizationNotFound as error:
            raise Http404 from error
        return TemplateResponse(request, "admin/flags/flag_branch.html", context)

    def under_way_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Answer with the jobs that carry changes of the flag down. Then the page loads its tree anew."""
        flag, caller = self.visible_flag(request, flag_id)
        jobs = _under_way(caller, flag)
        context = {"flag": flag, "under_way": jobs}
        headers = {} if jobs else {"HX-Trigger": "flag-settled"}
        return TemplateResponse(request, "admin/flags/flag_under_way.html", context, headers=headers)

    def askers_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Answer with the organizations that ask for the flag. Browsers load it later, since it reads many rows."""
        flag, caller = self.visible_flag(request, flag_id)
        context = {"askers": askers.askers_of(caller, flag), "days": askers.DAYS}
        return TemplateResponse(request, "admin/flags/flag_askers.html", context)

    def visible_flag(self, request: HttpRequest, flag_id: int) -> tuple[Flag, Caller]:
        """Return the flag and the signed-in person. Raises PermissionDenied, and Http404 if they may not see it."""
        caller = self.require_viewer(request)
        flag = visible_flags(caller).filter(pk=flag_id).first()
        if flag is None:
            raise Http404
        return flag, caller


def may_set(caller: Caller, flag: Flag) -> bool:
    """Return whether the person may set the flag on organizations."""
    return caller.may(Role.EDITOR) and not flag.archived


def _tree_context(request: HttpRequest, caller: Caller, flag: Flag, *, at_once: bool) -> dict[str, Any]:
    """Return what the query asks for: hits of a search, the settings, one organization, or the whole tree."""
    term, below = request.GET.get("q", "").strip(), id_in(request.GET.get("below", ""))
    context: dict[str, Any] = {"term": term, "may_set": may_set(caller, flag)}
    if term:
        return context | {"hits": flag_tree.search(caller, flag, term)}
    if "settings" in request.GET:
        locks = request.GET.get("kind") == LOCK
        settings = flag_tree.settings_of(caller, flag, before=request.GET.get("before", ""), locks=locks)
        return context | {"lists_settings": True, "only_locks": locks, "settings": settings}
    try:
        if below:
            branch = flag_tree.branch_at(caller, flag, below, at_once=at_once)
            top = branch.nodes[0].organization
            return context | {"branch": branch, "below": below, "above": _above(caller, top)}
        branch = flag_tree.branch_below(caller, flag, None, at_once=at_once)
    except OrganizationNotFound as error:
        raise Http404 from error
    is_uncounted = branch.totals is None and caller.organization_id is None
    totals = flag_tree.last_totals(flag) if is_uncounted else branch.totals
    return context | {"branch": branch, "totals": totals}


def _above(caller: Caller, organization: Any) -> list[tuple[int, str]]:
    context = path_context(caller, organization)
    folded = context["path"]
    return ([folded.top] if folded.top else []) + list(context["above"])


def _under_way(caller: Caller, flag: Flag) -> list[tuple[Job, str]]:
    """Return jobs that carry changes of the flag down, each with the path of its organization."""
    jobs = jobs_of(caller).filter(status__in=UNDER_WAY, changes__flag=flag).order_by("id").distinct()
    found = list(jobs[:MAX_UNDER_WAY])
    paths = path_names_of({job.organization_id for job in found if job.organization_id}, top_id=caller.organization_id)
    return [(job, " › ".join(paths.get(job.organization_id or 0, []))) for job in found]


def _schedules(caller: Caller, flag: Flag) -> QuerySet[Any] | list[Any]:
    schedules = list(schedules_of(caller).filter(flag=flag).open().order_by("scheduled_at")[:MAX_SCHEDULES])
    describe(schedules, caller)
    return schedules
