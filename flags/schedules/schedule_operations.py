"""What people do to scheduled changes: cancel, retry now. The audit log has each operation."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from flags.errors import ScheduleNotCancellable, ScheduleNotFound, ScheduleNotRetryable
from flags.schedules.models import FlagSchedule
from orgs.audit import audit_log

Status = FlagSchedule.Status


def cancel(*, schedule_id: int, by: str, reason: str = "") -> FlagSchedule:
    """Cancel one that waits for its time or its retry; of a recurring one that waits for its time all later ones too.

    Waits while it is being applied. Raises ScheduleNotFound, or ScheduleNotCancellable once it is settled; of a
    recurring one that says which occurrence is to be cancelled instead.
    """
    with transaction.atomic():
        schedule = _locked(schedule_id)
        if not schedule.is_open:
            refusal = f"Schedule {schedule_id} is {schedule.status} and cannot be cancelled."
            raise ScheduleNotCancellable(f"{refusal}{_next_in_words(schedule)}")
        _change(schedule, "flag-schedule.cancel", by, reason, status=Status.CANCELLED, next_retry_at=None)
    return schedule


def retry(*, schedule_id: int, by: str, reason: str = "") -> FlagSchedule:
    """Have one that failed, for good too, tried by the next tick, with all its automatic retries anew.

    Raises ScheduleNotFound, ScheduleNotRetryable.
    """
    with transaction.atomic():
        schedule = _locked(schedule_id)
        if schedule.status != Status.FAILED:
            raise ScheduleNotRetryable(f"Schedule {schedule_id} is {schedule.status}; only a failed one is retried.")
        _change(schedule, "flag-schedule.retry", by, reason, status=Status.PENDING, retry_count=0, next_retry_at=None)
    return schedule


def _locked(schedule_id: int) -> FlagSchedule:
    schedule = FlagSchedule.objects.select_for_update(of=("self",)).filter(pk=schedule_id).first()
    if schedule is None:
        raise ScheduleNotFound
    return schedule


def _next_in_words(schedule: FlagSchedule) -> str:
    """Which occurrence of a recurring one waits for its time, if any does; it is the one that the later ones need."""
    if not schedule.cron:
        return ""
    series_id = schedule.series_id or schedule.pk
    following = FlagSchedule.objects.filter(series_id=series_id, status=Status.PENDING, attempts=0).first()
    return f" Its next occurrence is {following.pk}." if following else ""


def _change(schedule: FlagSchedule, action: str, by: str, reason: str, **columns: object) -> None:
    before = schedule.status
    FlagSchedule.objects.filter(pk=schedule.pk).update(updated_at=Now(), **columns)
    schedule.refresh_from_db()
    audit_log.record(
        action, schedule.subject, by=by, organization_id=schedule.organization_id, reason=reason,
        flag=schedule.flag_key, before=before, after=schedule.status,
    )  # fmt: skip
