"""Applying a scheduled change: an ordinary change by its author, through the channel `schedule`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagNotFound
from flags.schedules import authors, schedulable
from flags.schedules.models import FlagSchedule
from flags.schedules.steps import check_as_left
from flags.states.set_flag import AcceptedChange, reset_flag, set_flag
from flagsite.core import actor
from orgs.tree import locks

CHANNEL = "schedule"


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """The result of applying a schedule.

    `change_number` is None for a change of a definition, and if there was nothing to reset. `job_id` is None if no job
    was necessary. `author_gone` says what
    happened to the account of an author who has left; it is empty for all other authors.
    """

    change_number: int | None = None
    job_id: int | None = None
    author_gone: str = ""


def apply(schedule: FlagSchedule) -> AppliedChange:
    """Make the change of a schedule in the caller's transaction.

    The author needs the rights now, as when scheduling the change (`authors.check_may_apply`). If a person has left,
    the audit log says so. Raises ScheduleNoLongerAllowed, FlagNotFound, OrganizationNotFound, InvalidSchedule, and the
    errors of `set_flag`, `reset_flag` and `service.update`.
    """
    if schedule.organization_id is not None:
        locks.lock_trees_for_reading(schedule.organization_id)  # it stays in the author's scope until the commit
    flag = Flag.objects.filter(pk=schedule.flag_id).first()
    if flag is None:
        raise FlagNotFound(
            f"The flag {schedule.flag_key} no longer exists."
        )  # a flag with the same key may be another one
    author_gone = authors.check_may_apply(schedule)
    reason = "; ".join(part for part in (schedule.reason, f"schedule {schedule.pk}", author_gone) if part)
    with (
        actor.acting(CHANNEL, actor=schedule.created_by, correlation_id=schedule.correlation_id),
        structlog.contextvars.bound_contextvars(scheduleId=schedule.pk),
    ):
        if schedule.organization_id is None:
            check_as_left(schedule, flag)
            values = schedulable.values_of(schedule.wanted)
            service.update(key=schedule.flag_key, values=values, by=schedule.created_by, reason=reason)
            return AppliedChange(author_gone=author_gone)
        accepted = _set_or_reset(schedule, schedule.organization_id, reason)
    if accepted is None:  # there was nothing to reset
        return AppliedChange(author_gone=author_gone)
    return AppliedChange(accepted.change.number, accepted.job.pk if accepted.job else None, author_gone)


def _set_or_reset(schedule: FlagSchedule, organization_id: int, reason: str) -> AcceptedChange | None:
    wanted = schedulable.check_setting(schedule.wanted)
    change: dict[str, Any] = {
        "organization_id": organization_id, "flag_key": schedule.flag_key, "requested_by": schedule.created_by,
        "correlation_id": schedule.correlation_id, "reason": reason,
    }  # fmt: skip
    choice = schedulable.choice_of(wanted)
    if choice is None:
        return reset_flag(subtree=wanted.get("subtree", False), **change)
    return set_flag(
        choice=choice, below=schedulable.below_of(wanted),
        only_here=wanted.get("reach") == schedulable.HERE, may_define=False, **change,
    )  # fmt: skip
