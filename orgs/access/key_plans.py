"""What an access key has planned: shown before somebody revokes the key, and ended together with it.

Other apps add their planners, because `orgs` knows nothing of what they plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

MAX_SHOWN = 100
"""Planned changes that an answer or a page lists. Their count has no limit."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One change that a key has planned: its id, what it does in words, where, and when."""

    id: int
    description: str
    organization_id: int | None
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class KeyPlans:
    """The number of changes that a key has planned, and the next ones of them."""

    count: int = 0
    changes: Sequence[PlannedChange] = ()

    @property
    def in_words(self) -> str:
        """The number as a text, such as "3 scheduled changes"."""
        return "1 scheduled change" if self.count == 1 else f"{self.count:,} scheduled changes"


@dataclass(frozen=True, slots=True)
class Planner:
    """How an app finds, and ends, what the access key with a prefix has planned."""

    planned_by: Callable[[str], KeyPlans]
    end: Callable[[str], KeyPlans]


planners: list[Planner] = []


def planned_by(prefix: str) -> KeyPlans:
    """Return what the key has planned and what Flagsite has not done yet."""
    return _together([planner.planned_by(prefix) for planner in planners])


def end(prefix: str) -> KeyPlans:
    """End what the key has planned, in the caller's transaction; return what has ended."""
    return _together([planner.end(prefix) for planner in planners])


def _together(plans: Sequence[KeyPlans]) -> KeyPlans:
    changes = sorted((change for one in plans for change in one.changes), key=lambda change: change.planned_at)
    return KeyPlans(sum(one.count for one in plans), changes[:MAX_SHOWN])
