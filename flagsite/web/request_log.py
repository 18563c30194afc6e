"""What is told of each request: one line in the log, and a count with its duration for metrics."""

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
UNKNOWN = "unknown"
QUIET = frozenset({"livez", "readyz", "metrics"})
"""Asked every few seconds by machines; their lines are only for debugging."""


class RequestSignalsMiddleware:
    """Comes after the one that gives the request its id, and before all that might answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - began
        route = route_of(request)
        method = str(request.method)
        requests.count(method=method, route=route, status=response.status_code, seconds=seconds)
        _level(route, response.status_code)(
            "request_answered",
            method=method,
            route=route,
            path=escape_uri_path(request.path)[:500],
            status=response.status_code,
            durationMs=round(seconds * 1000, 1),
        )
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern of the request's address, without its ids; "unknown" for an address that there is not."""
    route = getattr(request, "probe", "")
    if request.resolver_match is not None:
        route = request.resolver_match.route
    return route or UNKNOWN


def _level(route: str, status: int) -> Callable[..., Any]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and route not in QUIET:
        return log.error
    return log.debug if route in QUIET else log.info
