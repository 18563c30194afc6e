"""Scheduled changes that end before their time, because what they need is gone: their access key or their flag."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Now

from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from orgs.audit import audit_log

Status = FlagSchedule.Status
FLAG_PURGED = "The flag was purged."


def end_open(schedules: QuerySet[FlagSchedule], *, reason: str) -> list[FlagSchedule]:
    """Cancel open scheduled changes in the caller's transaction, each with an audit entry, and return them.

    If one of them is being applied, this function waits until that is done, and then cancels its next occurrence too.
    """
    ended: list[FlagSchedule] = []
    cancelled = {"status": Status.CANCELLED, "next_retry_at": None, "last_error": reason}
    while found := list(schedules.select_for_update(of=("self",)).order_by("pk")):
        FlagSchedule.objects.filter(pk__in=[one.pk for one in found]).update(**cancelled, updated_at=Now())
        for one in found:
            audit_log.record(
                "flag-schedule.cancel", one.subject, organization_id=one.organization_id, reason=reason,
                flag=one.flag_key, before=one.status, after=Status.CANCELLED.value,
            )  # fmt: skip
        ended += found
    return ended


def end_those_of_purged_flag(flag: Flag) -> None:
    """Cancel the open scheduled changes of a flag that somebody purges, in the caller's transaction."""
    end_open(FlagSchedule.objects.open().filter(flag_id=flag.pk), reason=FLAG_PURGED)
