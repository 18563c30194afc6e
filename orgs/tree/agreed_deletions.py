"""What a request knows of a deletion, and the checks of other apps before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgreedDeletion:
    """At most so many organizations go, or the hash of the plan."""

    at_most: int | None = None
    plan_hash: str = ""


ANYTHING = AgreedDeletion()
Check = Callable[[int, AgreedDeletion], None]
"""A function that raises FlagsiteError if the deletion of an organization would do something else."""
checks: list[Check] = []


def check(organization_id: int, agreed: AgreedDeletion) -> None:
    """Let other apps check a deletion whose caller knows its effect. The caller holds the tree lock."""
    if agreed != ANYTHING:
        for each in checks:
            each(organization_id, agreed)
