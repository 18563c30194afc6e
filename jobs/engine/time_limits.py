"""The time limits of a running attempt: how long it may take, and how long it may go on without progress."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from jobs.engine import process_watch
from jobs.engine.kinds import kind_named
from jobs.errors import AttemptTimedOut, UnknownKind

GRACE_SECONDS = 30.0
"""How much later than its limit an attempt may end by itself. After that, the worker ends the process."""


@dataclass(frozen=True, slots=True)
class KindLimits:
    """The limits of a kind in seconds; infinity where it has none."""

    attempt_seconds: float = math.inf
    stall_seconds: float = math.inf


def kind_limits(name: str) -> KindLimits:
    """Return the time limits of the kind with this name; none for a kind without code, whose attempt fails anyway."""
    try:
        kind = kind_named(name)
    except UnknownKind:
        return KindLimits()
    return KindLimits(kind.attempt_seconds or math.inf, kind.stall_seconds or math.inf)


class TimeLimits:
    """The clock of one attempt. It does nothing if its kind has no limits."""

    def __init__(self, job_id: int, limits: KindLimits) -> None:
        self._job_id = job_id
        self._limits = limits
        self._has_limits = not (math.isinf(limits.attempt_seconds) and math.isinf(limits.stall_seconds))
        self._started_at = self._advanced_at = self._watched_at = time.monotonic()
        self._deadline = self._started_at + limits.attempt_seconds

    def start(self) -> None:
        """Let the worker's main process watch this process."""
        if self._has_limits:
            self._watch(time.monotonic())

    def stop(self) -> None:
        """Let nobody watch this process any more."""
        if self._has_limits:
            process_watch.unwatch()

    def advanced(self) -> None:
        """Note that the work has made progress now."""
        self._advanced_at = time.monotonic()
        if self._has_limits and self._advanced_at - self._watched_at > 1.0:
            self._watch(self._advanced_at)

    def extend(self, seconds: float) -> bool:
        """Let the attempt go on for so many seconds from now, if that is longer. Return whether it has a limit."""
        if math.isinf(self._deadline):
            return False
        self._deadline = max(self._deadline, time.monotonic() + seconds)
        self._watch(time.monotonic())
        return True

    def check(self) -> None:
        """Raise AttemptTimedOut if the attempt has taken too long, or has made no progress for too long."""
        if not self._has_limits:
            return
        now = time.monotonic()
        if now > self._deadline:
            raise AttemptTimedOut(f"The attempt took longer than {self._deadline - self._started_at:,.0f} s.")
        if now - self._advanced_at > self._limits.stall_seconds:
            raise AttemptTimedOut(f"The attempt made no progress for {self._limits.stall_seconds:,.0f} s.")

    def is_hung(self) -> bool:
        """Return whether the attempt should have ended long ago; the heartbeat asks this in its own thread."""
        return self._has_limits and time.monotonic() > self._last_end()

    def _last_end(self) -> float:
        return min(self._deadline, self._advanced_at + self._limits.stall_seconds) + GRACE_SECONDS

    def _watch(self, now: float) -> None:
        self._watched_at = now
        process_watch.watch(self._job_id, self._last_end())
