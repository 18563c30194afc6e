"""Pages of the admin site that update themselves every few seconds, without a reload."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst
from django.views.decorators.cache import never_cache

from flagsite.core.reading_pages import only_reads
from orgs.access.operator_admin import OperatorAdmin

View = Callable[..., HttpResponse]


def fragment(view: View) -> View:
    """Make a view for the part of a page that htmx fetches every few seconds.

    After the end of the session, the answer makes the browser reload the whole page, which leads to the login. With a
    redirect, htmx would put the login form into the middle of the page.
    """

    @only_reads
    @wraps(view)
    @never_cache
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not admin.site.has_permission(request):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return view(request, *args, **kwargs)

    return wrapped


class LiveListAdmin(OperatorAdmin):
    """A model whose list is a live page: `page_template` includes `live_template`, which htmx fetches repeatedly."""

    page_template: ClassVar[str]
    live_template: ClassVar[str]

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        """Return the context of both templates."""
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self.page(request, self.page_template, capfirst(self.opts.verbose_name_plural), self.figures)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        return [path("live/", fragment(self.live_view), name=name), *super().get_urls()]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the part of the page that updates itself."""
        self.require_viewer(request)
        return TemplateResponse(request, self.live_template, self.figures(request))

    def page(
        self, request: HttpRequest, template: str, title: str, figures: Callable[[HttpRequest], dict[str, Any]]
    ) -> HttpResponse:
        """Answer with a page in the layout of the admin site. Raises PermissionDenied."""
        self.require_viewer(request)
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, frame | figures(request))
