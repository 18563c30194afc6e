"""Applying a scheduled change: a change like any other, by its author, through the channel "schedule"."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagNotFound
from flags.schedules import authors, schedulable
from flags.schedules.models import FlagSchedule
from flags.states.set_flag import set_flag
from flagsite.core import actor

CHANNEL = "schedule"


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """The change that a schedule has led to, if it was one of an organization, and what has become of its author."""

    change_number: int | None = None
    job_id: int | None = None
    author_gone: str = ""


def apply(schedule: FlagSchedule) -> AppliedChange:
    """Make the change, inside the caller's transaction.

    The rights that the author had when it was scheduled count. When the author is gone since, the audit log says so.
    Raises FlagNotFound, OrganizationNotFound, InvalidSchedule, and whatever `set_flag` and `service.update` may raise.
    """
    if not Flag.objects.filter(pk=schedule.flag_id).exists():
        raise FlagNotFound(f"The flag {schedule.flag_key} no longer exists.")  # one of the same name is another flag
    author_gone = authors.why_gone(schedule.created_by)
    reason = "; ".join(part for part in (schedule.reason, f"schedule {schedule.pk}", author_gone) if part)
    with (
        actor.acting(CHANNEL, actor=schedule.created_by, correlation_id=schedule.correlation_id),
        structlog.contextvars.bound_contextvars(scheduleId=schedule.pk),
    ):
        if schedule.organization_id is None:
            values = schedulable.values_of(schedule.wanted)
            service.update(key=schedule.flag_key, values=values, by=schedule.created_by, reason=reason)
            return AppliedChange(author_gone=author_gone)
        accepted = set_flag(
            organization_id=schedule.organization_id,
            flag_key=schedule.flag_key,
            enabled=schedule.wanted["enabled"],
            requested_by=schedule.created_by,
            correlation_id=schedule.correlation_id,
            reason=reason,
        )
    return AppliedChange(accepted.change.number, accepted.job.pk if accepted.job else None, author_gone)
