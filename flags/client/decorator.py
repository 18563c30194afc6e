"""The decorator of functions and views that run only where a flag is on; they may be asynchronous."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.http import Http404, HttpRequest
from django.views import View

from flags.client.context import request_context_unless_set
from flags.client.evaluate import ais_enabled, is_enabled

Function = TypeVar("Function", bound=Callable[..., Any])
NOT_FOUND: Any = object()
"""Without a fallback a view answers 404 and a function returns None."""


def feature_flag(
    name: str,
    *,
    user_id_param: str | None = None,
    organization_param: str | None = None,
    fallback: Any = NOT_FOUND,
    default: bool = False,
) -> Callable[[Function], Function]:
    """Let the function run only where the flag is on.

    Where it is off `fallback` is called with the same arguments, or is the result if it is no function. Without a
    fallback a view answers 404 and a function returns None. `user_id_param` and `organization_param` name the
    function's parameters with the user's id and the organization. Without them a view is evaluated for its request,
    and a function for what the middleware or `asking_for` has set. `default` is the value of a flag that cannot be
    evaluated, also for lack of a targeting key.

    Raises TypeError for a function that has no such parameter.
    """

    def decorated(function: Function) -> Function:
        user_id, organization = _argument(function, user_id_param), _argument(function, organization_param)

        def options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            named = {"user_id": user_id(args, kwargs), "organization": organization(args, kwargs)}
            return {**named, "default": default}

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with request_context_unless_set(_request_in(args)):
                enabled = await ais_enabled(name, **options(args, kwargs))
            result = function(*args, **kwargs) if enabled else _fall_back(fallback, args, kwargs)
            return await result if inspect.isawaitable(result) else result

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            if _is_in_async_view(function, args):
                return awaited(*args, **kwargs)
            with request_context_unless_set(_request_in(args)):
                enabled = is_enabled(name, **options(args, kwargs))
            return function(*args, **kwargs) if enabled else _fall_back(fallback, args, kwargs)

        return awaited if iscoroutinefunction(function) else called  # type: ignore[return-value]

    return decorated


def _is_in_async_view(function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether the function is a method of an asynchronous view, such as `dispatch`: Django awaits its result."""
    bound = getattr(function, "func", function)  # Django's method_decorator hands over a partial of it
    view = getattr(bound, "__self__", args[0] if args else None)
    return isinstance(view, View) and view.view_is_async


def _fall_back(fallback: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if fallback is NOT_FOUND:
        if _request_in(args) is not None:
            raise Http404("The feature is off.")
        return None
    return fallback(*args, **kwargs) if callable(fallback) else fallback


def _request_in(args: tuple[Any, ...]) -> HttpRequest | None:
    """The request of a view: the first argument, or a method's second; REST framework's wraps Django's."""
    for argument in args[:2]:
        request = getattr(argument, "_request", argument)
        if isinstance(request, HttpRequest):
            return request
    return None


def _argument(function: Callable[..., Any], parameter: str | None) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """A function that finds the parameter's value among the arguments of a call; it returns None without one."""
    if parameter is None:
        return lambda args, kwargs: None
    signature = inspect.signature(function)
    if parameter not in signature.parameters:
        raise TypeError(f"{function.__qualname__} has no parameter {parameter!r}.")
    default = signature.parameters[parameter].default
    missing = None if default is inspect.Parameter.empty else default
    return lambda args, kwargs: signature.bind_partial(*args, **kwargs).arguments.get(parameter, missing)
