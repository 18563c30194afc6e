"""The middleware with which flags are evaluated for the user and the organization of the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from flags.client.context import RequestContext, default_context_set


@sync_and_async_middleware
def flags_of_request(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """The middleware; it comes after AuthenticationMiddleware and after the one that finds the organization."""
    if iscoroutinefunction(get_response):

        async def awaited(request: HttpRequest) -> HttpResponseBase:
            with default_context_set(RequestContext(request)):
                response: HttpResponseBase = await get_response(request)
            return response

        return awaited

    def called(request: HttpRequest) -> HttpResponseBase:
        with default_context_set(RequestContext(request)):
            response: HttpResponseBase = get_response(request)
        return response

    return called
