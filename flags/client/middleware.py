"""Lets flags be asked for without saying for whom: for the user and the organization of the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from flags.client import context
from flags.client.context import OfRequest


@sync_and_async_middleware
def flags_of_request(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """A middleware, to come after AuthenticationMiddleware and after whatever finds the organization."""
    if iscoroutinefunction(get_response):

        async def awaited(request: HttpRequest) -> HttpResponseBase:
            token = context.current.set(OfRequest(request))
            try:
                response: HttpResponseBase = await get_response(request)
            finally:
                context.current.reset(token)
            return response

        return awaited

    def called(request: HttpRequest) -> HttpResponseBase:
        token = context.current.set(OfRequest(request))
        try:
            response: HttpResponseBase = get_response(request)
        finally:
            context.current.reset(token)
        return response

    return called
