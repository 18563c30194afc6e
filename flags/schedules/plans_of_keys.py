"""The scheduled changes of an access key: found for `orgs.access.key_plans`, and cancelled together with the key."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from flags.schedules import ending
from flags.schedules.console import what
from flags.schedules.models import FlagSchedule
from orgs.access.key_plans import MAX_SHOWN, KeyPlans, PlannedChange, Planner
from orgs.access.models import AccessKey

REASON = "The access key was revoked."


def planned_by(prefix: str) -> KeyPlans:
    """Return the open scheduled changes of the key, the next ones first."""
    schedules = _open_schedules(prefix)
    return KeyPlans(
        schedules.count(), [_described(one) for one in schedules.order_by("scheduled_at", "pk")[:MAX_SHOWN]]
    )


def end(prefix: str) -> KeyPlans:
    """Cancel the open scheduled changes of the key, in the caller's transaction, and return them.

    If one of them is being applied, this function waits until that is done, and then cancels its next occurrence too.
    """
    ended = ending.end_open(_open_schedules(prefix), reason=REASON)
    ended.sort(key=lambda one: (one.scheduled_at, one.pk))
    return KeyPlans(len(ended), [_described(one) for one in ended[:MAX_SHOWN]])


def _open_schedules(prefix: str) -> QuerySet[FlagSchedule]:
    is_its = Q()
    for one in _prefixes(prefix):
        is_its |= Q(created_by__startswith=f"key:{one} ")
    return FlagSchedule.objects.open().filter(is_its)


def _prefixes(prefix: str) -> list[str]:
    """Return the prefix of the key, and those of the expired keys whose place it has taken by a rotation."""
    prefixes = [prefix]
    for one in prefixes:
        former = AccessKey.objects.filter(successor__prefix=one, revoked=False, expiry_date__lte=Now())
        prefixes += former.values_list("prefix", flat=True)
    return prefixes


def _described(schedule: FlagSchedule) -> PlannedChange:
    recurs = f", again and again ({schedule.cron} {schedule.time_zone})" if schedule.cron else ""
    text = f"{schedule.flag_key}: {what(schedule)}{recurs}"
    return PlannedChange(schedule.pk, text, schedule.organization_id, schedule.scheduled_at)


PLANNER = Planner(planned_by, end)
