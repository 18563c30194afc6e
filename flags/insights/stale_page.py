"""The admin site's list of stale flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from unfold.decorators import action

from flags.insights.staleness import stale_flags
from flagsite.core.reading_pages import only_reads
from orgs.access.operator_admin import OperatorAdmin

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object


class StalePage(Pages):
    """The mixin that adds the list of stale flags to the pages of flags. A person sees the flags of their scope."""

    @action(description="Stale flags", url_path="stale")
    @method_decorator(only_reads)
    def stale(self, request: HttpRequest) -> HttpResponse:
        """The list of stale flags, with the reasons."""
        caller = self.require_viewer(request)
        context = {"title": "Stale flags", "stale": stale_flags(caller), "days": settings.FLAG_STALE_DAYS,
                 "sees_all": caller.organization_id is None}  # fmt: skip
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/flags/stale.html", frame | context)
