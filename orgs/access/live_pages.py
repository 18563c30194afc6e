"""Pages of the admin site that show how things stand now and say it anew by themselves, without a reload."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.cache import never_cache

from orgs.access.operator_admin import OperatorAdmin

View = Callable[..., HttpResponse]


def fragment(view: View) -> View:
    """A view for the part of a page that htmx asks for every few seconds.

    Where the session has ended, the page is told to load anew, and leads to the login; a redirect would put the
    login into the middle of the page.
    """

    @wraps(view)
    @never_cache
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not admin.site.has_permission(request):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return view(request, *args, **kwargs)

    return wrapped


class LiveListAdmin(OperatorAdmin):
    """A model whose list is a page of its own: `page_template` includes `live_template`, which is fetched again."""

    page_template: ClassVar[str]
    live_template: ClassVar[str]

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        """What both templates show."""
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self.page(request, self.page_template, self.opts.verbose_name_plural, self.figures)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        return [path("live/", fragment(self.live_view), name=name), *super().get_urls()]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The part of the list that changes."""
        self.check_may_view(request)
        return TemplateResponse(request, self.live_template, self.figures(request))

    def page(
        self, request: HttpRequest, template: str, title: str, figures: Callable[[HttpRequest], dict[str, Any]]
    ) -> HttpResponse:
        """A page in the frame of the admin site, for those who may see this model."""
        self.check_may_view(request)
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, frame | figures(request))

    def check_may_view(self, request: HttpRequest) -> None:
        """Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
