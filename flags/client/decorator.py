"""Functions that run only where a flag is on: plain ones, views, and asynchronous ones of both kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.http import Http404, HttpRequest
from django.views import View

from flags.client import context
from flags.client.context import OfRequest
from flags.client.evaluate import ais_enabled, is_enabled

Function = TypeVar("Function", bound=Callable[..., Any])
NOT_FOUND: Any = object()
"""No fallback: a view answers 404, a function returns None."""


def feature_flag(
    name: str,
    *,
    user_id_param: str | None = None,
    organization_param: str | None = None,
    fallback: Any = NOT_FOUND,
    default: bool = False,
) -> Callable[[Function], Function]:
    """Let the function run only where the flag is on.

    Where it is off `fallback` is called with the same arguments, or, when it is no function, is the result. Without
    one a view answers 404 and a function returns None. User and organization are the named parameters of the
    function; else a view's are those of its request, and a function's what the middleware or `asking_for` has set.
    `default` is for what cannot be told, a missing targeting key included.

    Raises TypeError for a function that has no such parameter.
    """

    def decorated(function: Function) -> Function:
        user_id, organization = _reader(function, user_id_param), _reader(function, organization_param)

        def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            named = {"user_id": user_id(args, kwargs), "organization": organization(args, kwargs)}
            return {**named, "default": default}

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with _of_request(args):
                enabled = await ais_enabled(name, **asked(args, kwargs))
            result = function(*args, **kwargs) if enabled else _instead(fallback, args, kwargs)
            return await result if inspect.isawaitable(result) else result

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            if _is_of_async_view(function, args):
                return awaited(*args, **kwargs)
            with _of_request(args):
                enabled = is_enabled(name, **asked(args, kwargs))
            return function(*args, **kwargs) if enabled else _instead(fallback, args, kwargs)

        return awaited if iscoroutinefunction(function) else called  # type: ignore[return-value]

    return decorated


def _is_of_async_view(function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether it is a method such as `dispatch` of an asynchronous view: a plain function whose result is awaited."""
    bound = getattr(function, "func", function)  # Django's method_decorator hands over a partial of it
    view = getattr(bound, "__self__", args[0] if args else None)
    return isinstance(view, View) and view.view_is_async


def _instead(fallback: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if fallback is NOT_FOUND:
        if _request_in(args) is not None:
            raise Http404("The feature is off.")
        return None
    return fallback(*args, **kwargs) if callable(fallback) else fallback


@contextmanager
def _of_request(args: tuple[Any, ...]) -> Iterator[None]:
    """Ask for the view's request, where no middleware has said whose it is."""
    request = _request_in(args)
    if request is None or context.current.get() is not None:
        yield
        return
    token = context.current.set(OfRequest(request))
    try:
        yield
    finally:
        context.current.reset(token)


def _request_in(args: tuple[Any, ...]) -> HttpRequest | None:
    """The request of a view: its first argument, or a method's second; also REST framework's, which wraps Django's."""
    for argument in args[:2]:
        request = getattr(argument, "_request", argument)
        if isinstance(request, HttpRequest):
            return request
    return None


def _reader(function: Callable[..., Any], parameter: str | None) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """What gets the parameter's value out of the arguments of a call; None where there is no such argument."""
    if parameter is None:
        return lambda args, kwargs: None
    signature = inspect.signature(function)
    if parameter not in signature.parameters:
        raise TypeError(f"{function.__qualname__} has no parameter {parameter!r}.")
    default = signature.parameters[parameter].default
    missing = None if default is inspect.Parameter.empty else default
    return lambda args, kwargs: signature.bind_partial(*args, **kwargs).arguments.get(parameter, missing)
