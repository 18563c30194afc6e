"""A rollout in steps: scheduled changes of which each comes a wait after the one before, and which end together.

When a step fails for good or is cancelled, Flagsite cancels the steps after it. So a rollout that went wrong does not
go on to more users. A step also fails if somebody has changed by hand what the steps before have set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import InvalidSchedule
from flags.schedules import schedulable
from flags.schedules.ending import end_open
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest, create_linked
from orgs.access.caller import Caller

FEWEST_STEPS, MOST_STEPS = 2, 20
LONGEST_WAIT = 366 * 24 * 60
"""In minutes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to apply, by the names in JSON, and how long after the step before."""

    wanted: Mapping[str, Any]
    wait: timedelta = timedelta(0)


def plan_steps(caller: Caller, request: ScheduleRequest, steps: Sequence[Step], *, at: datetime) -> list[FlagSchedule]:
    """Schedule a rollout in steps, of which the first comes at a time in UTC. Returns its scheduled changes.

    Raises InvalidSchedule, and the errors of `flags.schedules.plan.plan_once`.
    """
    if not FEWEST_STEPS <= len(steps) <= MOST_STEPS:
        raise InvalidSchedule(f"A rollout has {FEWEST_STEPS} to {MOST_STEPS} steps.")
    if steps[0].wait:
        raise InvalidSchedule("The first step has no wait: it comes at the given time.")
    if not all(step.wait > timedelta(0) for step in steps[1:]):
        raise InvalidSchedule("Each step but the first needs a wait, such as 1440 minutes for a day.")
    if any(step.wait > timedelta(minutes=LONGEST_WAIT) for step in steps):
        raise InvalidSchedule(f"A wait is longer than {LONGEST_WAIT} minutes, which are 366 days.")
    times: list[datetime] = []
    for step in steps:
        times.append((times[-1] if times else at) + step.wait)
    wanted = [step.wanted for step in steps]
    return create_linked(caller, request, list(zip(wanted, times, strict=True)))


def check_as_left(schedule: FlagSchedule, flag: Flag) -> None:
    """Check that the definition still is what the steps before a step have made it, and that the flag is not killed.

    Somebody who changes it by hand in between has stopped the rollout. Steps that set a flag for an organization, and
    changes that are no steps, are not checked. Raises InvalidSchedule.
    """
    if schedule.organization_id is not None or schedule.first_step_id in (None, schedule.pk):
        return
    before = FlagSchedule.objects.filter(
        first_step_id=schedule.first_step_id, scheduled_at__lt=schedule.scheduled_at, status=FlagSchedule.Status.APPLIED
    )
    left: dict[str, Any] = {}
    for step in before.order_by("scheduled_at", "pk"):
        left |= step.wanted
    changed = service.differing(flag, schedulable.values_of({"killed": False, **left})) if left else []
    if changed:
        raise InvalidSchedule(
            f"Somebody has changed what the steps before have set: {', '.join(changed)}. So the rollout has stopped. "
            "Schedule its other steps again."
        )


def end_later_steps(schedule: FlagSchedule, why: str) -> list[FlagSchedule]:
    """Cancel the steps after one that was cancelled or has failed for good, in the caller's transaction."""
    if schedule.first_step_id is None:
        return []
    later = FlagSchedule.objects.open().filter(
        first_step_id=schedule.first_step_id, scheduled_at__gt=schedule.scheduled_at
    )
    return end_open(later, reason=f"The step {schedule.pk} before {why}.")
