"""Which flags are asked for, counted without a write per request.

To count is one step of a counter, without a lock and without a look at the clock. A thread hands the counts on every
FLAG_USAGE_SECONDS, and at the end of the process; while the Redis-protocol server is away they are kept. There are
never more than MOST different pairs of organization and flag here: beyond that new ones are not counted until the
others are handed on, which is then done early.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
from typing import Protocol

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from flags.insights import usage_buffer
from flags.insights.usage_buffer import Pair

log = structlog.get_logger(__name__)
MOST = 250_000
"""Pairs that are counted between two flushes, and those that are kept while the server is away."""
STEP_SECONDS = 10.0
"""No thread takes so long from finding a counter to making its step."""


class UsageCounter(itertools.count):
    """How often a pair was evaluated. A step cannot be lost to another thread, unlike that of a number."""

    __slots__ = ("of",)
    of: object
    """Stands for the counts that they belong to, which they may outlive; None when nobody reads them."""


def _no_steps(of: object) -> UsageCounter:
    steps = UsageCounter()
    steps.of = of
    return steps


class CountsAll(Protocol):
    """An organization that keeps its own counter, so that it need not be looked up (`OrganizationSnapshot`)."""

    organization_id: int | None
    steps: UsageCounter


class UsageCounters(dict[Pair, UsageCounter]):
    """The steps of each pair, from one change of counts to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = object()
        """Stands for these counts in their steps."""
        self.read: dict[Pair, int] = {}
        """How far each counter was when it was read last."""
        self.made_at = time.monotonic()

    def __missing__(self, pair: Pair) -> UsageCounter:
        _start()
        if len(self) >= MOST // 2:
            _hurry.set()
        return self.setdefault(pair, _no_steps(of=self.mark)) if len(self) < MOST else UNCOUNTED


UNCOUNTED = _no_steps(of=None)
_counts = UsageCounters()
_before = UsageCounters()
"""What was counted in before: a thread that had found a counter there still makes its step."""
_kept: dict[Pair, int] = {}
_hurry = threading.Event()
_flushing = threading.Lock()
_starting = threading.Lock()
_started_in = 0
_away = False


def count(organization_id: int | None, flag_key: str) -> None:
    """One flag was evaluated by its name."""
    next(_counts[organization_id, flag_key])


def count_all(view: CountsAll) -> None:
    """Every flag was evaluated for the view's organization, which keeps its steps so that they need not be found."""
    steps = view.steps
    if steps.of is not _counts.mark:
        steps = view.steps = _counts[view.organization_id, None]
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
    for pair, steps in list(counts.items()):
        read, number = counts.read.get(pair, 0), next(steps)  # which is a step itself
        counts.read[pair] = number + 1
        if number > read and (pair in _kept or len(_kept) < MOST):
            _kept[pair] = _kept.get(pair, 0) + number - read


def _hand_on() -> bool:
    global _away  # noqa: PLW0603 - said once, not every few seconds
    try:
        for pairs in usage_buffer.add(dict(_kept)):
            for pair in pairs:
                del _kept[pair]
    except (RedisError, OSError, usage_buffer.BufferFull) as error:
        if not _away:
            log.warning("flag_usage_kept", error=str(error) or "the server is full", pairs=len(_kept))
        _away = True
        return False
    _away = False
    return True


def _start() -> None:
    """Begin to flush, once in each process; a forked child begins anew."""
    global _started_in  # noqa: PLW0603 - one thread for each process
    with _starting:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
    atexit.register(flush)
    threading.Thread(target=_flush_for_ever, name="flag-usage", daemon=True).start()


def _flush_for_ever() -> None:
    while True:
        _hurry.wait(settings.FLAG_USAGE_SECONDS)
        _hurry.clear()
        try:
            if not flush():
                time.sleep(settings.FLAG_USAGE_SECONDS)  # a hurry does not help
        except Exception:
            log.exception("flag_usage_failed")


def _begin_anew() -> None:
    """A forked child counts from nothing: what the parent has counted is the parent's to hand on."""
    global _counts, _before, _kept, _hurry, _flushing
    _counts, _before, _kept = UsageCounters(), UsageCounters(), {}
    _hurry, _flushing = threading.Event(), threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
