"""The rate limit of each caller. The Redis-protocol server counts the requests; while it is away there is no limit."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import limits
import structlog
from django.conf import settings
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from orgs.access.caller import Caller

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
TIMEOUT_SECONDS = 0.2
"""The time for which a request waits for a connection to the server, and for its answer."""
PAUSE_SECONDS = 5.0
"""The time without a limit after the server has failed; then a request tries the server again."""


class KeyRateLimit(BaseThrottle):
    """Allows RATE_LIMIT requests for each access key and for each person who is signed in."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Caller):
            return True
        self.seconds = seconds_to_wait(request.auth.name)
        return self.seconds == 0

    def wait(self) -> float:
        return self.seconds


def seconds_to_wait(caller: str) -> int:
    """Count one request of the caller. Returns 0 if the limit allows it, else the whole seconds to wait."""
    limit = _parsed(settings.RATE_LIMIT)

    def count(limiter: SlidingWindowCounterRateLimiter) -> int:
        return 0 if limiter.hit(limit, caller) else seconds_until_reset(limiter, limit, caller)

    return ask_shared_counters(count, otherwise=lambda: 0)


def seconds_until_reset(limiter: SlidingWindowCounterRateLimiter, limit: limits.RateLimitItem, *key: str) -> int:
    """Return the whole seconds, at least 1, until the limit allows the key again."""
    return max(1, math.ceil(limiter.get_window_stats(limit, *key).reset_time - time.time()))


def ask_shared_counters(
    ask: Callable[[SlidingWindowCounterRateLimiter], Result], *, otherwise: Callable[[], Result]
) -> Result:
    """Return what `ask` gets from the counters that all processes share.

    While the Redis-protocol server is away, return the result of `otherwise`.
    """
    if not circuit_breaker.is_open():
        try:
            result = ask(limiter_at(settings.REDIS_URL))
            circuit_breaker.reset()
            return result
        except (RedisError, OSError) as error:
            circuit_breaker.trip()
            log.warning("rate_limit_off", error=str(error), seconds=PAUSE_SECONDS)
    return otherwise()


class CircuitBreaker:
    """Remembers for `pause_seconds` that the server is away, so that not every request waits for it."""

    def __init__(self, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._until = 0.0

    def is_open(self) -> bool:
        """Whether requests skip the server. After the pause, one request at a time tries the server again."""
        with self._lock:
            now = time.monotonic()
            if now < self._until:
                return True
            if self._until:  # this request tries the server; meanwhile others skip it
                self._until = now + 2 * TIMEOUT_SECONDS
            return False

    def reset(self) -> None:
        """Note that the server has answered."""
        with self._lock:
            self._until = 0.0

    def trip(self) -> None:
        """Note that the server did not answer."""
        with self._lock:
            self._until = time.monotonic() + self._pause_seconds


circuit_breaker = CircuitBreaker()


@functools.cache
def _parsed(rate: str) -> limits.RateLimitItem:
    """Parse a rate such as 6000/minute, whose form flagsite/settings.py has checked."""
    return limits.parse(rate)


@functools.cache
def limiter_at(url: str) -> SlidingWindowCounterRateLimiter:
    """The rate limiter that counts in the server at `url`; it connects at its first use."""
    storage = RedisStorage(
        url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url,
        key_prefix="flagsite:limit",
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
    )
    return SlidingWindowCounterRateLimiter(storage)
