"""A rollout in steps: scheduled changes of which each comes a wait after the one before, and which end together.

When a step fails for good or is cancelled, Flagsite cancels the steps after it. So a rollout that went wrong does not
go on to more users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flags.errors import InvalidSchedule
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


def end_later_steps(schedule: FlagSchedule, why: str) -> list[FlagSchedule]:
    """Cancel the steps after one that was cancelled or has failed for good, in the caller's transaction."""
    if schedule.first_step_id is None:
        return []
    later = FlagSchedule.objects.open().filter(
        first_step_id=schedule.first_step_id, scheduled_at__gt=schedule.scheduled_at
    )
    return end_open(later, reason=f"The step {schedule.pk} before {why}.")
