"""What a request says about a move beside the new place, and the checks of other apps before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """How an organization moves.

    With `keeps_values`, the values of flags that the organization has now become settings of its own. `at_most` and
    `plan_hash` say what the caller knows of the effect: at most so many organizations get another value, or the hash
    of the plan.
    """

    keeps_values: bool = False
    at_most: int | None = None
    plan_hash: str = ""


@dataclass(frozen=True, slots=True)
class KeptValue:
    """A value of a flag that an organization has kept in a move, as a setting of its own.

    `counts` is false if a lock at the new place decides: the setting then counts when the lock is gone.
    """

    flag_key: str
    enabled: bool
    counts: bool


DEFAULTS = MoveOptions()
Check = Callable[[int, int | None, MoveOptions], None]
"""A function that raises FlagsiteError if a move would do something else than its caller knows. It gets the ids of the
organization and of the new parent."""
checks: list[Check] = []


def check(organization_id: int, parent_id: int | None, options: MoveOptions) -> None:
    """Let other apps check a move whose caller knows its effect. The caller holds the tree locks."""
    if options.at_most is None and not options.plan_hash:
        return
    for each in checks:
        each(organization_id, parent_id, options)
