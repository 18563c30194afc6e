"""The operations on scheduled changes: cancel and retry. Each operation writes an audit entry."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from flags.errors import ScheduleNotCancellable, ScheduleNotFound, ScheduleNotRetryable
from flags.schedules.models import FlagSchedule
from flags.schedules.steps import end_later_steps
from orgs.audit import audit_log

Status = FlagSchedule.Status


def cancel(*, schedule_id: int, by: str, reason: str = "") -> FlagSchedule:
    """Cancel a schedule that waits for its time or its retry. Cancelling a recurring schedule ends its series, and
    cancelling a step of a rollout cancels the steps after it.

    If the schedule is being applied, this function waits until that is done. Raises ScheduleNotFound. Raises
    ScheduleNotCancellable if the schedule is settled; for a recurring schedule the detail names the next occurrence,
    which can be cancelled instead.
    """
    with transaction.atomic():
        schedule = _locked(schedule_id)
        if not schedule.is_open:
            refusal = f"Schedule {schedule_id} is {schedule.status} and cannot be cancelled."
            raise ScheduleNotCancellable(f"{refusal}{_next_occurrence_text(schedule)}")
        _change(schedule, "flag-schedule.cancel", by, reason, status=Status.CANCELLED, next_retry_at=None)
        end_later_steps(schedule, "was cancelled")
    return schedule


def retry(*, schedule_id: int, by: str, reason: str = "") -> FlagSchedule:
    """Retry a failed schedule within seconds, with all its automatic retries. It may have failed for good.

    Raises ScheduleNotFound, ScheduleNotRetryable.
    """
    with transaction.atomic():
        schedule = _locked(schedule_id)
        if schedule.status != Status.FAILED:
            raise ScheduleNotRetryable(
                f"Schedule {schedule_id} is {schedule.status}. Only a failed schedule can be retried."
            )
        _change(schedule, "flag-schedule.retry", by, reason, status=Status.PENDING, retry_count=0, next_retry_at=None)
    return schedule


def _locked(schedule_id: int) -> FlagSchedule:
    schedule = FlagSchedule.objects.select_for_update(of=("self",)).filter(pk=schedule_id).first()
    if schedule is None:
        raise ScheduleNotFound
    return schedule


def _next_occurrence_text(schedule: FlagSchedule) -> str:
    """Return a sentence with the pending occurrence of a recurring schedule. Cancelling that one ends the series."""
    if not schedule.cron:
        return ""
    series_id = schedule.series_id or schedule.pk
    pending = FlagSchedule.objects.filter(series_id=series_id, status=Status.PENDING, attempts=0).first()
    return f" Its next occurrence is {pending.pk}." if pending else ""


def _change(schedule: FlagSchedule, action: str, by: str, reason: str, **columns: object) -> None:
    before = schedule.status
    FlagSchedule.objects.filter(pk=schedule.pk).update(updated_at=Now(), **columns)
    schedule.refresh_from_db()
    audit_log.record(
        action, schedule.subject, by=by, organization_id=schedule.organization_id, reason=reason,
        flag=schedule.flag_key, before=before, after=schedule.status,
    )  # fmt: skip
