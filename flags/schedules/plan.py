"""Scheduling changes: once, as a pair of on and off, or again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import transaction

from flags.definitions.models import Flag
from flags.definitions.refusals import purging_flag, unknown_flag
from flags.definitions.who_may_define import check_may_define
from flags.errors import InvalidSchedule
from flags.schedules import schedulable
from flags.schedules.backoff import MAX_RETRIES_LIMIT, default_max_retries
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence
from flags.schedules.time_parsing import check_in_future
from flagsite.core.db.clock import now
from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, hold_visible_organization
from orgs.audit import audit_log


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """The request to schedule a change: flag, organization, reason, number of retries and correlation id.

    If `organization` is None, the flag's definition changes. If `max_retries` is None, the setting
    FLAG_SCHEDULE_MAX_RETRIES counts.
    """

    flag_key: str
    organization: OrganizationName | None = None
    reason: str = ""
    max_retries: int | None = None
    correlation_id: str = ""


class Target(NamedTuple):
    """What a scheduled change concerns: the flag, and the organization's id unless it concerns the definition."""

    flag: Flag
    organization_id: int | None


def plan_once(caller: Caller, request: ScheduleRequest, *, wanted: Mapping[str, Any], at: datetime) -> FlagSchedule:
    """Schedule a change for one time, in UTC. `wanted` has the new values by their names in JSON.

    Raises FlagNotFound, FlagPurging, OrganizationNotFound, OrganizationAmbiguous, OutsideOfYourSubtree, RoleNeeded,
    InvalidSchedule, like the other functions here.
    """
    with _locked_for_planning(caller, request) as target:
        schedule = _create(caller, request, target, wanted=wanted, scheduled_at=check_in_future(at))
        _record(caller, schedule)
    return schedule


def plan_pair(
    caller: Caller,
    request: ScheduleRequest,
    *,
    on_at: datetime,
    off_at: datetime,
    how: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[FlagSchedule, FlagSchedule]:
    """Schedule on and off at two times in UTC, in any order. Returns the two schedules, which refer to each other.

    `how` has the fields `below` and `reach` of both settings on an organization.
    """
    if on_at == off_at:
        raise InvalidSchedule("The times of on and off are equal.")
    with _locked_for_planning(caller, request) as target:
        if set(how) - set(schedulable.HOW):
            raise InvalidSchedule("Both values of a pair are given. Its apply has only below and reach.")
        on = _create(caller, request, target, wanted={"enabled": True, **how}, scheduled_at=check_in_future(on_at))
        off = _create(
            caller, request, target, wanted={"enabled": False, **how}, scheduled_at=check_in_future(off_at),
            paired_with=on,
        )  # fmt: skip
        on.paired_with = off
        on.save(update_fields=["paired_with"])
        for half in (on, off):
            _record(caller, half)
    return on, off


def plan_recurring(
    caller: Caller, request: ScheduleRequest, *, wanted: Mapping[str, Any], cron: str, time_zone: str
) -> FlagSchedule:
    """Schedule a change for every slot of a cron expression in a time zone. Returns the first occurrence."""
    slots = recurrence(cron, time_zone)
    with _locked_for_planning(caller, request) as target:
        schedule = _create(
            caller, request, target, wanted=wanted, scheduled_at=slots.after(now()), cron=cron, time_zone=time_zone
        )
        _record(caller, schedule)
    return schedule


def create_linked(
    caller: Caller, request: ScheduleRequest, changes: Sequence[tuple[Mapping[str, Any], datetime]]
) -> list[FlagSchedule]:
    """Schedule changes of one target that belong together as the steps of a rollout, with their times in UTC."""
    with _locked_for_planning(caller, request) as target:
        made: list[FlagSchedule] = []
        for wanted, at in changes:
            schedule = _create(caller, request, target, wanted=wanted, scheduled_at=check_in_future(at))
            made.append(schedule)
            schedule.first_step_id = made[0].pk
            schedule.save(update_fields=["first_step"])
            _record(caller, schedule)
    return made


@contextmanager
def _locked_for_planning(caller: Caller, request: ScheduleRequest) -> Iterator[Target]:
    """Check what the caller may schedule, and yield its target in a transaction that locks the organization."""
    with transaction.atomic():
        if request.organization is not None:
            with hold_visible_organization(caller, request.organization) as organization:
                known_to = None if caller.organization_id is None else organization.pk
                yield Target(_flag(request.flag_key, known_to=known_to), organization.pk)
        else:
            check_may_define(caller)
            yield Target(_flag(request.flag_key), None)


def _flag(key: str, *, known_to: int | None = None) -> Flag:
    """Return the flag. Scheduling a change never defines a flag."""
    flag = Flag.objects.filter(key=key).first()
    if flag is None:
        raise unknown_flag(key, known_to=known_to)
    if flag.purging:
        raise purging_flag(key)
    return flag


def _create(
    caller: Caller,
    request: ScheduleRequest,
    target: Target,
    *,
    wanted: Mapping[str, Any],
    scheduled_at: datetime,
    **more: Any,
) -> FlagSchedule:
    max_retries = default_max_retries() if request.max_retries is None else request.max_retries
    if not 0 <= max_retries <= MAX_RETRIES_LIMIT:
        raise InvalidSchedule(f"maxRetries must be from 0 to {MAX_RETRIES_LIMIT}.")
    if target.organization_id is None:
        fields = schedulable.check(wanted)
        schedulable.check_together(target.flag, fields)
    else:
        fields = schedulable.check_setting(wanted)
        schedulable.check_choice(target.flag, fields)
    return FlagSchedule.objects.create(
        flag=target.flag, flag_key=target.flag.key, organization_id=target.organization_id, wanted=fields,
        scheduled_at=scheduled_at, max_retries=max_retries, created_by=caller.name,
        author_organization_id=caller.organization_id, reason=request.reason, correlation_id=request.correlation_id,
        **more,
    )  # fmt: skip


def _record(caller: Caller, schedule: FlagSchedule) -> None:
    recurring = {"cron": schedule.cron, "timeZone": schedule.time_zone} if schedule.cron else {}
    pair = {"pairedWithId": schedule.paired_with_id} if schedule.paired_with_id else {}
    step = {"firstStepId": schedule.first_step_id} if schedule.first_step_id else {}
    audit_log.record(
        "flag-schedule.create", schedule.subject, by=caller.name, organization_id=schedule.organization_id,
        reason=schedule.reason, flag=schedule.flag_key, wanted=schedule.wanted,
        scheduledAt=schedule.scheduled_at.isoformat(), **recurring, **pair, **step,
    )  # fmt: skip
