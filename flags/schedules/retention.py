"""The retention of scheduled changes: the daily clean-up deletes those settled FLAG_SCHEDULE_KEEP_DAYS ago.

A schedule that is still to be tried stays, however old. The halves of a pair go together. The occurrences of a
recurring schedule go one by one; the first, to which all later ones refer, goes when no other is left.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from flags.schedules.models import FlagSchedule
from jobs.operations.cleanup import OldRows

LOOKED_AT_ONCE = 2000
"""How many schedules one short transaction looks at."""
Status = FlagSchedule.Status


def old_schedules() -> QuerySet[FlagSchedule]:
    """The schedules that a clean-up would delete now."""
    days = settings.FLAG_SCHEDULE_KEEP_DAYS
    if not days:
        return FlagSchedule.objects.none()
    settled = Q(status__in=(Status.APPLIED, Status.CANCELLED)) | Q(status=Status.FAILED, next_retry_at=None)
    old = settled & Q(updated_at__lt=Now() - timedelta(days=days))
    others = FlagSchedule.objects
    return FlagSchedule.objects.filter(
        old,
        Q(paired_with=None) | Exists(others.filter(old, pk=OuterRef("paired_with_id"))),
        ~Exists(others.filter(~old, series=OuterRef("pk"))),
    )


def delete_batch(before: int | None) -> tuple[int | None, int]:
    """Delete the old ones among the next schedules by id, newest first, so that the first of a series comes last.

    They are locked and then looked at again, since a person may have asked for a retry meanwhile. A schedule that
    another transaction holds is left for tomorrow, with all that refer to it or that it refers to.

    `before` is what the last call returned, None at first. Returns the id to go on before, None at the end, and how
    many schedules are gone.
    """
    looked_at = FlagSchedule.objects.order_by("-id")
    if before is not None:
        looked_at = looked_at.filter(pk__lt=before)
    ids = list(looked_at.values_list("pk", flat=True)[:LOOKED_AT_ONCE])
    if not ids or not settings.FLAG_SCHEDULE_KEEP_DAYS:
        return None, 0
    old = dict(old_schedules().filter(pk__in=ids).values_list("pk", "paired_with_id"))
    wanted = {pk for pk in (*old, *old.values()) if pk is not None}
    held = list(_locked(wanted))
    return ids[-1], _delete_unreferenced(held)


def _locked(ids: set[int]) -> QuerySet[FlagSchedule, int]:
    rows = FlagSchedule.objects.filter(pk__in=ids).order_by("pk").select_for_update(skip_locked=True, of=("self",))
    return rows.values_list("pk", flat=True)


def _delete_unreferenced(held: list[int]) -> int:
    """Delete the schedules that are still old, unless a row that stays refers to them; returns how many."""
    stays = FlagSchedule.objects.exclude(pk__in=held)
    gone = (
        old_schedules()
        .filter(pk__in=held)
        .filter(Q(paired_with=None) | Q(paired_with__in=held), ~Exists(stays.filter(series=OuterRef("pk"))))
    )
    ids = list(gone.values_list("pk", flat=True))
    with connection.cursor() as cursor:  # not by the model, which would take a series along with its first
        cursor.execute("DELETE FROM flags_flagschedule WHERE id = ANY(%s)", [ids])
    return len(ids)


OLD_SCHEDULES = OldRows("schedules", lambda: old_schedules().count(), delete_batch)
