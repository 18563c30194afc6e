"""How many requests a caller may send: counted in the Redis-protocol server, and not at all while that is away."""

from __future__ import annotations

import functools
import math
import threading
import time
from typing import Any

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
ANSWER_SECONDS = 0.2
"""The server has this long to connect, and to answer."""
PAUSE_SECONDS = 5.0
"""After a failure the server is left alone for so long."""


class KeyRateLimit(BaseThrottle):
    """RATE_LIMIT for each access key, and for each person signed in."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Caller):
            return True
        self.seconds = seconds_to_wait(request.auth.name)
        return self.seconds == 0

    def wait(self) -> float:
        return self.seconds


def seconds_to_wait(caller: str) -> int:
    """Count one request of the caller; 0 when it may pass, else after how many whole seconds it may come again."""
    if _breaker.is_open():
        return 0
    try:
        limiter, limit = _limiter(settings.REDIS_URL), _limit(settings.RATE_LIMIT)
        passes = limiter.hit(limit, caller)
        _breaker.reset()
        if passes:
            return 0
        reset = limiter.get_window_stats(limit, caller).reset_time
        return max(1, math.ceil(reset - time.time()))
    except (RedisError, OSError) as error:
        _breaker.trip()
        log.warning("rate_limit_off", error=str(error), seconds=PAUSE_SECONDS)
        return 0


class Breaker:
    """Remembers for PAUSE_SECONDS that the server is away, so that not every request waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def is_open(self) -> bool:
        """Whether to leave the server alone. After the pause one caller at a time is let through to try."""
        with self._lock:
            now = time.monotonic()
            if now < self._until:
                return True
            if self._until:  # the one that tries; others go on without until it knows
                self._until = now + 2 * ANSWER_SECONDS
            return False

    def reset(self) -> None:
        """The server has answered."""
        with self._lock:
            self._until = 0.0

    def trip(self) -> None:
        """The server did not answer."""
        with self._lock:
            self._until = time.monotonic() + PAUSE_SECONDS


_breaker = Breaker()


@functools.cache
def _limit(words: str) -> limits.RateLimitItem:
    """What the setting's words mean; flagsite/settings.py has seen to it that they mean something."""
    return limits.parse(words)


@functools.cache
def _limiter(url: str) -> SlidingWindowCounterRateLimiter:
    """The counter at this server; connects at the first use."""
    storage = RedisStorage(
        url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url,
        key_prefix="flagsite:limit",
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
    )
    return SlidingWindowCounterRateLimiter(storage)
