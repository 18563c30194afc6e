"""Scheduled changes for tests, and moving their times instead of the clock, which is the database's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from flags.definitions.models import Flag
from flags.schedules import plan
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flagsite.core.db.clock import now
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree.models import Organization

ADA = Caller("key:none ada", Role.ADMIN)
"""Somebody whose key is gone."""
OPS = Caller("command:ops@host", Role.ADMIN)
YEAR = datetime.now(UTC).year + 2
"""One that is to come and can be scheduled, whenever these tests are run."""


def planned(
    where: Organization | None,
    *,
    enabled: bool = True,
    flag: str = "checkout",
    ago: timedelta = timedelta(seconds=1),
    by: Caller = OPS,
    **more: Any,
) -> FlagSchedule:
    """One that was due so long ago; its flag exists."""
    Flag.objects.get_or_create(key=flag)
    request = ScheduleRequest(flag, where.pk if where else None, **more)
    schedule = plan.plan_once(by, request, wanted={"enabled": enabled}, at=now())
    FlagSchedule.objects.filter(pk=schedule.pk).update(scheduled_at=Now() - ago)
    return schedule


def let_come(schedule_id: int, after: timedelta = timedelta(seconds=1)) -> None:
    """Move a schedule's time so that it came so long ago."""
    FlagSchedule.objects.filter(pk=schedule_id).update(scheduled_at=Now() - after)


def pass_time(time: timedelta) -> None:
    """Move all times that are written down back, as if so much time had passed."""
    FlagSchedule.objects.update(scheduled_at=F("scheduled_at") - time, next_retry_at=F("next_retry_at") - time)


def as_of(schedule: FlagSchedule) -> FlagSchedule:
    """The schedule as the database has it now."""
    return FlagSchedule.objects.get(pk=schedule.pk)


def in_the_future(moment: datetime | None) -> bool:
    """Whether the moment is there and to come."""
    return moment is not None and moment > now()
