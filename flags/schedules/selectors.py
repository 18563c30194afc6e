"""Queries for the scheduled changes that a caller may see."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from flags.errors import ScheduleNotFound
from flags.schedules.models import FlagSchedule, ScheduleQuerySet
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations


def schedules_of(caller: Caller) -> ScheduleQuerySet:
    """Return the schedules of the caller's organizations, and those whose author had a scope within the caller's.

    So both sides see what was planned for an organization that has moved to another customer since. A caller without a
    scope sees all schedules.
    """
    if caller.organization_id is None:
        return FlagSchedule.objects.all()
    visible = visible_organizations(caller).values("pk")
    return FlagSchedule.objects.filter(Q(organization_id__in=visible) | Q(author_organization_id__in=visible))


def schedule_for(caller: Caller, schedule_id: int) -> FlagSchedule:
    """Return the schedule if the caller may see it. Raises ScheduleNotFound."""
    schedule = schedules_of(caller).filter(pk=schedule_id).first()
    if schedule is None:
        raise ScheduleNotFound
    return schedule


def matching(
    schedules: QuerySet[FlagSchedule],
    *,
    status: str = "",
    organization_id: int | None = None,
    flag: str = "",
    series_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[FlagSchedule]:
    """Return the schedules that match all given filters. The time `since` is included, `until` is not.

    `series_id` is the id of the first occurrence of a recurring schedule, and selects the whole series.
    """
    if status:
        schedules = schedules.filter(status=status)
    if organization_id is not None:
        schedules = schedules.filter(organization_id=organization_id)
    if flag:
        schedules = schedules.filter(flag_key=flag)
    if series_id is not None:
        schedules = schedules.filter(Q(pk=series_id) | Q(series_id=series_id))
    if since is not None:
        schedules = schedules.filter(scheduled_at__gte=since)
    if until is not None:
        schedules = schedules.filter(scheduled_at__lt=until)
    return schedules
