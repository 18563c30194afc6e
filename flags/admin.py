"""Flags in the admin site: definitions, on how many organizations each is on, and who set it where."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from flags import schedule_admin  # noqa: F401 - registers its pages
from flags.flag_figures import counts, recent
from flags.models import Flag
from flags.organization_flags import switch_view
from orgs.access import Caller
from orgs.capped_paginator import CappedPaginator
from orgs.live_pages import fragment
from orgs.models import Role
from orgs.operator_admin import OperatorAdmin, caller_of


@admin.register(Flag)
class FlagAdmin(OperatorAdmin):
    """A flag's values are changed on the page of an organization."""

    add_role = change_role = Role.EDITOR
    for_bound_people = True
    paginator = CappedPaginator
    list_display = ["key", "description", "created_at"]
    search_fields = ["key", "description"]
    ordering = ["key"]
    change_form_after_template = "admin/flags/flag_figures.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its states are millions of rows; deleting them is a job's work

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key"] if obj else []

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("set/<str:organization_id>/", view(self.switch), name="flags_flag_switch"),
            path("<int:flag_id>/counts/", fragment(self.counts_view), name="flags_flag_counts"),
            *super().get_urls(),
        ]

    def switch(self, request: HttpRequest, organization_id: str) -> HttpResponse:
        """Set a flag on an organization, after a look at what that would do."""
        return switch_view(self, request, organization_id)

    def counts_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """On how many organizations it is on and off; fetched after the page, since all its rows are counted."""
        flag, caller = self._flag(request, flag_id)
        return TemplateResponse(request, "admin/flags/flag_counts.html", {"counts": counts(flag, caller)})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if context.get("original") is not None:
            flag, caller = self._flag(request, context["original"].pk)
            context["recent"] = recent(flag, caller)
        return super().render_change_form(request, context, *args, **kwargs)

    def _flag(self, request: HttpRequest, flag_id: int) -> tuple[Flag, Caller]:
        caller, flag = caller_of(request), Flag.objects.filter(pk=flag_id).first()
        if flag is None or caller is None or not self.has_view_permission(request):
            raise Http404
        return flag, caller
