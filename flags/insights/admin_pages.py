"""The admin site's pages of a flag's adoption, as figures and as a tree, and the list of stale flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from unfold.decorators import action

from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.insights import adoption
from flags.insights.staleness import stale_flags
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.operator_admin import OperatorAdmin
from orgs.errors import OrganizationNotFound

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object


class AdoptionPages(Pages):
    """The mixin that adds the adoption pages to the pages of flags. A person sees the figures of their scope."""

    def adoption_urls(self) -> list[URLPattern]:
        """Return the URL patterns of these pages."""
        view = self.admin_site.admin_view
        return [
            path("<int:flag_id>/adoption/", view(only_reads(self.adoption_view)), name="flags_flag_adoption"),
            path("<int:flag_id>/adoption/level/", fragment(self.adoption_level), name="flags_flag_adoption_level"),
        ]

    @action(description="Stale flags", url_path="stale")
    @method_decorator(only_reads)
    def stale(self, request: HttpRequest) -> HttpResponse:
        """The list of stale flags, with the reasons."""
        caller = self.require_viewer(request)
        context = {"title": "Stale flags", "stale": stale_flags(caller), "days": settings.FLAG_STALE_DAYS,
                 "sees_all": caller.organization_id is None}  # fmt: skip
        return self._page(request, "stale.html", context)

    def adoption_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Show a flag's adoption: the number of organizations with the flag on and off, its usage and its minority."""
        caller = self.require_viewer(request)
        flag = _flag(caller, flag_id)
        figures = adoption.adoption_of(caller, flag.key)
        return self._page(request, "adoption.html", {"title": f"Adoption of {flag.key}", "adoption": figures})

    def adoption_level(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Show one level of the tree: organizations below a parent, with their figures."""
        caller = self.require_viewer(request)
        flag = _flag(caller, flag_id)
        parent_id, after_id = id_in(request.GET.get("parent", "")), id_in(request.GET.get("after", ""))
        try:
            shares, more = adoption.shares_below(caller, flag, parent_id, after_id)
        except OrganizationNotFound as error:
            raise Http404 from error
        context = {"flag": flag, "shares": shares, "more": more, "parent_id": parent_id}
        return TemplateResponse(request, "admin/flags/adoption_level.html", context)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/flags/{template}", frame | context)


def _flag(caller: Caller, flag_id: int) -> Flag:
    flag = visible_flags(caller).filter(pk=flag_id).first()
    if flag is None:
        raise Http404
    return flag
