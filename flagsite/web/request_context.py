"""Middleware that notes the context of a request: its id, channel, address and, in the admin site, the person."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from flagsite.core import actor
from flagsite.core.client_address import client_address
from flagsite.web.problems import database_away
from flagsite.web_server.threads import CAME_AT

HEADER = "X-Request-ID"
VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIdMiddleware:
    """Puts the id of the request into `request.correlation_id`, every log line and the response.

    The id is the client's X-Request-ID if it is valid, otherwise a new one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        correlation_id = given if VALID_REQUEST_ID.fullmatch(given) else uuid4().hex
        request.correlation_id = correlation_id  # type: ignore[attr-defined]
        channel = "admin" if request.path.startswith("/admin/") else "api"
        with actor.acting(
            channel,
            actor=actor.UNKNOWN,
            address=client_address(request),
            correlation_id=correlation_id,
            came_at=request.META.get(CAME_AT),
        ):
            response = self.get_response(request)
        response[HEADER] = correlation_id
        return response


class AdminActorMiddleware:
    """Sets actor and reason of a request to the admin site, for log and audit log. It comes after the authentication.

    The reason is the field `reason` of whatever form the request sends. The form itself refuses a reason that is not
    valid, before anything is written.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = getattr(request, "user", None)
        try:
            if actor.current().channel == "admin" and user is not None and user.is_authenticated:
                actor.identify(f"user:{user.get_username()}")
        except (OperationalError, InterfaceError) as error:  # from the session, before any view
            return database_away(request, error)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Take the reason out of the form, after the check against forged requests."""
        if actor.current().channel == "admin" and request.method == "POST":
            reason = request.POST.get("reason", "").strip()
            if len(reason) <= actor.MAX_REASON_LENGTH and "\x00" not in reason:
                actor.give_reason(reason)
