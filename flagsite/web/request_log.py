"""Middleware that logs each request, and counts it and its duration for the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path

from flagsite.metrics import requests

log = structlog.get_logger(__name__)
UNKNOWN_ROUTE = "unknown"
QUIET_ROUTES = frozenset({"livez", "readyz", "metrics"})
"""Programs call these paths every few seconds, so their log lines have the level DEBUG."""


class RequestLogMiddleware:
    """Logs and counts every request. It comes after RequestIdMiddleware and before any middleware that may answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - began
        route = route_of(request)
        method = str(request.method)
        requests.count(method=method, route=route, status=response.status_code, seconds=seconds)
        refused_as = getattr(request, "refused_as", "")
        _log_method(route, response.status_code)(
            "request_answered",
            method=method,
            route=route,
            path=escape_uri_path(request.path)[:500],
            status=response.status_code,
            durationMs=round(seconds * 1000, 1),
            **({"refusedAs": refused_as} if refused_as else {}),
        )
        return response


def route_of(request: HttpRequest) -> str:
    """The URL pattern of the request's path; "unknown" for a path that does not exist."""
    route = getattr(request, "probe", "")
    if request.resolver_match is not None:
        route = request.resolver_match.route
    return route or UNKNOWN_ROUTE


def _log_method(route: str, status: int) -> Callable[..., Any]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and route not in QUIET_ROUTES:
        return log.error
    return log.debug if route in QUIET_ROUTES else log.info
