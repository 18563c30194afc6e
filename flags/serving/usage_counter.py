"""Which flags are asked for, counted without a write per request.

To count is one step of a counter, without a lock and without a look at the clock. A background service hands the
counts on every FLAG_USAGE_SECONDS, and at the end of the process; while the Redis-protocol server is away they are
kept. There are never more than MOST different keys here: beyond that new ones are not counted until the others are
handed on, which is then done early.

A key has the environment of the evaluation too. When counts are handed on, they are added up by organization and flag,
and once more by environment, so that the environment costs nothing further.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from typing import Protocol

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from flags.insights import usage_buffer
from flags.insights.usage_buffer import OTHER_ENVIRONMENTS, Pair, of_environment
from flagsite.core.background import BackgroundService

log = structlog.get_logger(__name__)
Key = tuple[int | None, str | None, str]
"""A pair, and the environment, empty for an evaluation without one."""
MOST = 250_000
"""Keys that are counted between two flushes, and pairs that are kept while the server is away."""
MOST_ENVIRONMENTS = 100
"""Environments that a process counts each by its name, as callers may send any name; the others are one."""
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STEP_SECONDS = 10.0
"""No thread takes so long from finding a counter to making its step."""


class UsageCounter(itertools.count):
    """How often a pair was evaluated. A step cannot be lost to another thread, unlike that of a number."""

    __slots__ = ("environment", "of")
    of: object
    """Stands for the counts that they belong to, which they may outlive; None when nobody reads them."""
    environment: str


def _no_steps(of: object, environment: str = "") -> UsageCounter:
    steps = UsageCounter()
    steps.of = of
    steps.environment = environment
    return steps


class CountsAll(Protocol):
    """What keeps its own counter for an organization, so that it need not be looked up (`OrganizationSnapshot`)."""

    organization_id: int | None
    steps: UsageCounter


class UsageCounters(dict[Key, UsageCounter]):
    """The steps of each key, from one change of counts to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = object()
        """Stands for these counts in their steps."""
        self.read: dict[Key, int] = {}
        """How far each counter was when it was read last."""
        self.made_at = time.monotonic()

    def __missing__(self, key: Key) -> UsageCounter:
        if not _has_name(key[2]):
            return self[key[0], key[1], OTHER_ENVIRONMENTS]
        _usage_flush.start()
        if len(self) >= MOST // 2 and not _away:  # while the server is away a hurry does not help
            _usage_flush.wake()
        return self.setdefault(key, _no_steps(self.mark, key[2])) if len(self) < MOST else UNCOUNTED


def _has_name(environment: str) -> bool:
    """Whether the environment is counted by its name."""
    if environment in _names:
        return True
    if len(_names) >= MOST_ENVIRONMENTS or not ENVIRONMENT.fullmatch(environment):
        return False
    _names.add(environment)
    return True


_names = {"", OTHER_ENVIRONMENTS}
UNCOUNTED = _no_steps(of=None)
_counts = UsageCounters()
_before = UsageCounters()
"""What was counted in before: a thread that had found a counter there still makes its step."""
_kept: dict[Pair, int] = {}
_kept_environments: dict[Pair, int] = {}
_flushing = threading.Lock()
_away = False


def count(organization_id: int | None, flag_key: str, environment: str) -> None:
    """One flag was evaluated by its name."""
    next(_counts[organization_id, flag_key, environment])


def count_all(counted: CountsAll, environment: str) -> None:
    """Every flag was evaluated for the organization. `counted` keeps the steps so that they need not be found."""
    steps = counted.steps
    if steps.of is not _counts.mark or steps.environment != environment:
        steps = counted.steps = _counts[counted.organization_id, None, environment]
    next(steps)


def flush() -> bool:
    """Hand on what was counted until now; False when the server did not take it, so that it is kept."""
    global _counts, _before
    with _flushing:
        for counts in (_before, _counts):
            _keep_new_steps(counts)
        if time.monotonic() - _counts.made_at > STEP_SECONDS or len(_counts) >= MOST // 2:
            _before, _counts = _counts, UsageCounters()
        return _hand_on()


def _keep_new_steps(counts: UsageCounters) -> None:
    for key, steps in list(counts.items()):
        read, number = counts.read.get(key, 0), next(steps)  # which is a step itself
        counts.read[key] = number + 1
        pair, environment = key[:2], of_environment(key[2])
        if number > read and (pair in _kept or len(_kept) < MOST):
            _kept[pair] = _kept.get(pair, 0) + number - read
            _kept_environments[environment] = _kept_environments.get(environment, 0) + number - read


def _hand_on() -> bool:
    global _away  # noqa: PLW0603 - said once, not every few seconds
    try:
        for kept in (_kept, _kept_environments):
            for pairs in usage_buffer.add(dict(kept)):
                for pair in pairs:
                    del kept[pair]
    except (RedisError, OSError, usage_buffer.BufferFull) as error:
        if not _away:
            log.warning("flag_usage_kept", error=str(error) or "the server is full", pairs=len(_kept))
        _away = True
        return False
    _away = False
    return True


def forget_counts() -> None:
    """Count from nothing, as a forked child does: what its parent has counted is the parent's to hand on."""
    global _counts, _before, _kept, _kept_environments, _flushing  # noqa: PLW0603 - one of each for a process
    _counts, _before, _kept, _kept_environments = UsageCounters(), UsageCounters(), {}, {}
    _flushing = threading.Lock()


class UsageFlush(BackgroundService):
    """Flushes every FLAG_USAGE_SECONDS, earlier when there are many counts, and at the exit of the process."""

    def __init__(self) -> None:
        super().__init__("flag-usage", last_turn_at_exit=True)

    def turn(self) -> None:
        """Hand on what was counted until now."""
        flush()

    def pause(self) -> float:
        """Return FLAG_USAGE_SECONDS."""
        return float(settings.FLAG_USAGE_SECONDS)

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("flag_usage_failed", exc_info=error)

    def on_fork(self) -> None:
        """Leave the parent's counts to the parent."""
        forget_counts()


_usage_flush = UsageFlush()
