"""Which priorities a caller may give to jobs."""

from __future__ import annotations

from jobs.operations.job_operations import HIGHEST_PRIORITY
from orgs.access.caller import Caller
from orgs.errors import OutsideOfYourSubtree

HIGHEST_OF_BOUND = 10
"""The highest priority that a caller with a scope may give: that of an event. All organizations share the workers."""
PRIORITY_HELP = f"Higher runs first. A bound caller may give {HIGHEST_OF_BOUND} at most."


def highest_priority_of(caller: Caller) -> int:
    """Return the highest priority that the caller may give."""
    return HIGHEST_PRIORITY if caller.organization_id is None else HIGHEST_OF_BOUND


def check_priority(caller: Caller, priority: int | None) -> None:
    """Check that the caller may give this priority; None is the one of the trigger. Raises OutsideOfYourSubtree."""
    highest = highest_priority_of(caller)
    if priority is not None and priority > highest:
        raise OutsideOfYourSubtree(
            "You are bound to an organization, and all organizations share the workers. The highest priority that you "
            f"may give is {highest}."
        )
