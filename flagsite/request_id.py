"""Every request has an id, the client's own X-Request-ID or a new one: the correlation id of what follows."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIdMiddleware:
    """Puts the id on the request (`request.correlation_id`), on every log line and on the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        correlation_id = given if ACCEPTABLE.fullmatch(given) else uuid4().hex
        request.correlation_id = correlation_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(correlationId=correlation_id):
            try:
                response = self.get_response(request)
            finally:  # bound by orgs.endpoints; the thread's next request is somebody else's
                structlog.contextvars.unbind_contextvars("caller")
        response[HEADER] = correlation_id
        return response
