"""The methods of pages, which are all addresses outside the API: pages read, and forms of the admin site send POST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.generic import RedirectView

from flagsite.web.problems import CONTENT_TYPE, method_not_allowed

METHODS_OF_PAGES = ("GET", "HEAD", "POST")
METHODS_OF_REDIRECTS = ("GET", "HEAD")


class AllowedMethodsMiddleware:
    """Refuses methods that no page has, and gives each 405 of a page the form of all errors.

    A page that only reads refuses POST too (`flagsite.core.reading_pages`). The API refuses methods by itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_problem = response.get("Content-Type") == CONTENT_TYPE
        if response.status_code != HttpResponseNotAllowed.status_code or is_problem:
            return response
        return method_not_allowed(request, response["Allow"])

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        is_redirect = getattr(view, "view_class", None) is RedirectView
        allowed = METHODS_OF_REDIRECTS if is_redirect else METHODS_OF_PAGES
        is_of_api = hasattr(view, "cls")  # REST framework's mark
        return None if is_of_api or request.method in allowed else HttpResponseNotAllowed(allowed)
