"""The retention of scheduled changes: the daily clean-up deletes those settled FLAG_SCHEDULE_KEEP_DAYS ago.

A schedule that Flagsite will still try stays, however old it is. The two schedules of a pair are deleted together. The
occurrences of a recurring schedule are deleted one by one; the first one, to which all others refer, is deleted last.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from flags.schedules.models import FlagSchedule
from jobs.operations.cleanup import OldRows

BATCH_SIZE = 2000
"""Schedules that one short transaction checks."""
Status = FlagSchedule.Status


def old_schedules(days: int | None = None) -> QuerySet[FlagSchedule]:
    """Return the schedules that a clean-up would delete now, by FLAG_SCHEDULE_KEEP_DAYS or after `days`."""
    days = settings.FLAG_SCHEDULE_KEEP_DAYS if days is None else days
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


def delete_batch(before: int | None, days: int | None = None) -> tuple[int | None, int]:
    """Delete the old schedules of one batch.

    Batches begin with the highest ids, so that the first occurrence of a series is deleted last. This function locks
    the schedules and then checks them again, because a person may have retried one in between. If another transaction
    has locked a schedule, this schedule and all schedules that are linked to it stay until the next clean-up.

    `before` is the id that the previous call returned, None in the first call. Returns the id for the next call, None
    at the end, and the number of deleted schedules.
    """
    batch = FlagSchedule.objects.order_by("-id")
    if before is not None:
        batch = batch.filter(pk__lt=before)
    ids = list(batch.values_list("pk", flat=True)[:BATCH_SIZE])
    if not ids:
        return None, 0
    old = dict(old_schedules(days).filter(pk__in=ids).values_list("pk", "paired_with_id"))
    linked = {pk for pk in (*old, *old.values()) if pk is not None}
    locked = list(_locked(linked))
    return ids[-1], _delete_unreferenced(locked, days)


def _locked(ids: set[int]) -> QuerySet[FlagSchedule, int]:
    rows = FlagSchedule.objects.filter(pk__in=ids).order_by("pk").select_for_update(skip_locked=True, of=("self",))
    return rows.values_list("pk", flat=True)


def _delete_unreferenced(locked: list[int], days: int | None) -> int:
    """Delete the locked schedules that are still old, unless another row refers to them; returns their number."""
    remaining = FlagSchedule.objects.exclude(pk__in=locked)
    deletable = (
        old_schedules(days)
        .filter(pk__in=locked)
        .filter(Q(paired_with=None) | Q(paired_with__in=locked), ~Exists(remaining.filter(series=OuterRef("pk"))))
    )
    ids = list(deletable.values_list("pk", flat=True))
    with (
        connection.cursor() as cursor
    ):  # not with the model, which would delete a series together with its first occurrence
        cursor.execute("DELETE FROM flags_flagschedule WHERE id = ANY(%s)", [ids])
    return len(ids)


OLD_SCHEDULES = OldRows("schedules", lambda days: old_schedules(days).count(), delete_batch)
