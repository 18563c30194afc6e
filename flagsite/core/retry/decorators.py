"""The decorators. stamina calls the function again, and waits in between, longer each time and with jitter.

A decorator without arguments takes the settings RETRY_MAX_ATTEMPTS, RETRY_WAIT_MIN, RETRY_WAIT_MAX and RETRY_JITTER at
each call. All decorators but `database_retry` work for coroutine functions too.
"""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import stamina
import stamina.instrumentation
import structlog
from django.conf import settings
from redis import exceptions as redis_exceptions

from flagsite.core.adapters.django_orm import is_in_transaction
from flagsite.core.db import transient_errors
from flagsite.core.retry import http_failures
from flagsite.core.retry.http_failures import UnwantedStatus

log = structlog.get_logger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]
Verdict = bool | float
"""Whether to call again after an exception; a number of seconds means: after this time."""
STATUS_CODES = (429, 500, 502, 503, 504)
MAX_SECONDS = 45.0
"""No further attempt starts after this time, whatever the number of attempts is."""
REDIS_FAILURES = (
    redis_exceptions.ConnectionError,  # BusyLoadingError is one
    redis_exceptions.TimeoutError,
    redis_exceptions.ReadOnlyError,  # a replica, while another server takes over
)
REDIS_REFUSALS = (redis_exceptions.AuthenticationError, redis_exceptions.AuthorizationError)
"""These are connection errors for the library, but a password does not become right by waiting."""
retry_listeners: list[Callable[[str, str], object]] = []
"""Called for each further attempt with the name of the function and the name of the exception's class."""


class RetryInsideTransaction(RuntimeError):
    """`database_retry` was called inside a transaction, which an error aborts as a whole. Decorate what opens it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """The arguments of a decorator; None means the setting."""

    max_attempts: int | None
    wait_min: float | None
    wait_max: float | None
    max_seconds: float

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}, but a call has one attempt at least.")
        if self.max_seconds <= 0 or min(self.wait_min or 0, self.wait_max or 0) < 0:
            raise ValueError("The times of a retry are positive.")

    def for_stamina(self) -> dict[str, Any]:
        """Return the limits as keyword arguments of `stamina.retry`."""
        wait_min = settings.RETRY_WAIT_MIN if self.wait_min is None else self.wait_min
        return {
            "attempts": self.max_attempts or settings.RETRY_MAX_ATTEMPTS,
            "timeout": self.max_seconds,
            "wait_initial": wait_min,
            "wait_max": max(wait_min, settings.RETRY_WAIT_MAX if self.wait_max is None else self.wait_max),
            "wait_jitter": settings.RETRY_JITTER,
        }


def database_retry(
    function: Any = None,
    /,
    *,
    max_attempts: int | None = None,
    wait_min: float | None = None,
    wait_max: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Any:
    """Call the function again after a deadlock, a time-out or a lost connection, each time on a new connection.

    The function must open its transactions itself, and a repetition must be safe: a commit may have succeeded although
    its answer was lost. The call raises RetryInsideTransaction inside a transaction, before the function runs. Raises
    TypeError for a coroutine function.
    """
    limits = _Limits(max_attempts=max_attempts, wait_min=wait_min, wait_max=wait_max, max_seconds=max_seconds)

    def decorate(work: Function) -> Function:
        if inspect.iscoroutinefunction(work):
            raise TypeError("A database connection belongs to a thread. database_retry needs a plain function.")

        def prepared(*args: Any, **kwargs: Any) -> Any:
            try:
                return work(*args, **kwargs)
            except Exception as error:
                if transient_errors.is_transient(error):
                    transient_errors.reconnect()
                raise

        retried = _retried(work, limits, transient_errors.is_transient, prepared)

        @functools.wraps(work)
        def call(*args: Any, **kwargs: Any) -> Any:
            if is_in_transaction():
                raise RetryInsideTransaction(
                    f"{work.__qualname__} was called inside a transaction, which an error aborts as a whole. "
                    "Decorate the function that opens the transaction."
                )
            return retried(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate if function is None else decorate(function)


def api_retry(
    function: Any = None,
    /,
    *,
    status_codes: Collection[int] = STATUS_CODES,
    max_attempts: int | None = None,
    wait_min: float | None = None,
    wait_max: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Any:
    """Call the function again after a lost connection, a time-out, or a response with one of the statuses.

    The status counts if the function raises an exception with the response, as `raise_for_status` does, and if it
    returns the response. If the last attempt returns such a response, the call raises UnwantedStatus. A header
    Retry-After sets the wait, up to `wait_max`. Decorate idempotent calls only: the server may have done its work
    although its answer was lost.
    """
    limits = _Limits(max_attempts=max_attempts, wait_min=wait_min, wait_max=wait_max, max_seconds=max_seconds)
    wanted = frozenset(status_codes)

    def verdict(error: BaseException) -> Verdict:
        response = http_failures.response_in(error)
        if not http_failures.has_status(response, wanted):
            return http_failures.is_connection_failure(error)
        after = http_failures.retry_after(response)
        if after is None:
            return True
        return float(min(after + random.uniform(0, settings.RETRY_JITTER), limits.for_stamina()["wait_max"]))

    def check(result: Any) -> Any:
        if http_failures.has_status(result, wanted):
            raise UnwantedStatus(result)
        return result

    decorate = _decorator(limits, verdict, check)
    return decorate if function is None else decorate(function)


def redis_retry(
    function: Any = None,
    /,
    *,
    max_attempts: int | None = None,
    wait_min: float | None = None,
    wait_max: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Any:
    """Call the function again while the Redis-protocol server is away, loads its data, or another one takes over.

    Decorate idempotent commands only: after a lost answer of INCR or LPUSH, nobody knows whether it was carried out.
    """
    limits = _Limits(max_attempts=max_attempts, wait_min=wait_min, wait_max=wait_max, max_seconds=max_seconds)
    decorate = _decorator(limits, _is_redis_failure)
    return decorate if function is None else decorate(function)


def retry_on_transient(
    *errors: Any,
    max_attempts: int | None = None,
    wait_min: float | None = None,
    wait_max: float | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Any:
    """Call the function again after these exceptions, and after the transient failures of the other decorators.

    Inside a transaction, an error of the database is raised at once.
    """
    limits = _Limits(max_attempts=max_attempts, wait_min=wait_min, wait_max=wait_max, max_seconds=max_seconds)
    if len(errors) == 1 and inspect.isroutine(errors[0]):  # without parentheses
        return _decorator(limits, functools.partial(_is_transient, ()))(errors[0])
    return _decorator(limits, functools.partial(_is_transient, errors))


def async_retry(*errors: Any, **limits: Any) -> Any:
    """Do the same as `retry_on_transient` for a coroutine function. Raises TypeError for any other function."""
    decorate = retry_on_transient(*(error for error in errors if inspect.isclass(error)), **limits)

    def checked(work: Function) -> Function:
        if not inspect.iscoroutinefunction(work):
            raise TypeError("async_retry needs a coroutine function; retry_on_transient is for the others.")
        return decorate(work)

    return checked(errors[0]) if errors and inspect.isroutine(errors[0]) else checked


def _decorator(
    limits: _Limits, verdict: Callable[[BaseException], Verdict], check: Callable[[Any], Any] | None = None
) -> Decorator[Any]:
    def decorate(work: Any) -> Any:
        return _retried(work, limits, verdict, _checked(work, check) if check else work)

    return decorate


def _checked(work: Any, check: Callable[[Any], Any]) -> Any:
    """Return the function with a look at its result, which belongs to the attempt."""
    if inspect.iscoroutinefunction(work):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return check(await work(*args, **kwargs))

        return awaited
    return lambda *args, **kwargs: check(work(*args, **kwargs))


def _retried(work: Any, limits: _Limits, verdict: Callable[[BaseException], Verdict], prepared: Any) -> Any:
    """Return `prepared` with retries, under the name of `work`. The settings count at each call."""
    if prepared is not work:
        functools.update_wrapper(prepared, work)

    def retried() -> Any:
        return stamina.retry(on=verdict, **limits.for_stamina())(prepared)

    @functools.wraps(work)
    def call(*args: Any, **kwargs: Any) -> Any:
        return retried()(*args, **kwargs)

    @functools.wraps(work)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        return await retried()(*args, **kwargs)

    return awaited if inspect.iscoroutinefunction(work) else call


def _is_redis_failure(error: BaseException) -> bool:
    return isinstance(error, REDIS_FAILURES) and not isinstance(error, REDIS_REFUSALS)


def _is_transient(errors: tuple[type[BaseException], ...], error: BaseException) -> bool:
    if transient_errors.is_transient(error):
        return not is_in_transaction()
    return isinstance(error, errors) or _is_redis_failure(error) or http_failures.is_connection_failure(error)


def _record_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """Log a further attempt, without the arguments and the error's message, which may hold keys and addresses."""
    error, wait = type(details.caused_by).__name__, round(details.wait_for, 3)
    log.warning("call_retried", function=details.name, error=error, retry=details.retry_num, waitSeconds=wait)
    for listener in retry_listeners:
        listener(details.name, error)


stamina.instrumentation.set_on_retry_hooks([_record_retry])
