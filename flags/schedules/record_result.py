"""Recording the result of an attempt to apply a schedule: status, audit entry and next occurrence."""

from __future__ import annotations

import structlog
from django.db import DatabaseError
from django.db.models import Value
from django.db.models.functions import Now

from flags.errors import (
    FlagLocked,
    FlagNotFound,
    FlagPurging,
    InvalidDefinition,
    InvalidFlagKey,
    InvalidSchedule,
    InvalidValue,
    ScheduleNoLongerAllowed,
)
from flags.events import SCHEDULE_FAILED
from flags.schedules import backoff
from flags.schedules.apply import CHANNEL, AppliedChange
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence
from flags.schedules.steps import end_later_steps
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.db.clock import now
from jobs.notifications.events import notify
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound

log = structlog.get_logger(__name__)
Status = FlagSchedule.Status
PERMANENT_ERRORS = (
    FlagNotFound, FlagPurging, InvalidDefinition, InvalidFlagKey, InvalidValue, InvalidSchedule, OrganizationNotFound,
    ScheduleNoLongerAllowed,
)  # fmt: skip
"""Errors after which a retry would fail again, and the next occurrence too."""
MAX_ERROR_LENGTH = 2_000


def record_success(schedule: FlagSchedule, change: AppliedChange) -> None:
    """Record that a schedule was applied, in the transaction of its change."""
    first_try = schedule.attempts == 0
    _update(
        schedule, status=Status.APPLIED, retry_count=0, next_retry_at=None, last_error="", applied_at=Now(),
        first_try=first_try, change_number=change.change_number, job_id=change.job_id, author_gone=change.author_gone,
    )  # fmt: skip
    details = {"authorGone": change.author_gone} if change.author_gone else {}
    _record("flag-schedule.apply", schedule, firstTry=first_try, changeNumber=change.change_number,
            jobId=change.job_id, **details)  # fmt: skip
    log.info("schedule_applied", **_log_fields(schedule), firstTry=first_try, **details)
    _plan_next(schedule)


def record_failure(schedule: FlagSchedule, error: Exception) -> bool:
    """Record that an attempt failed. The failed change was rolled back before.

    Returns whether the schedule will be tried again. After one of PERMANENT_ERRORS there is no retry, because a deleted
    flag does not come back, and below a lock neither. After all other errors, transient or unexpected, there are
    `max_retries` retries.
    """
    retries = schedule.retry_count + (schedule.status == Status.FAILED)
    is_permanent = isinstance(error, PERMANENT_ERRORS)
    is_refused = is_permanent or isinstance(error, FlagLocked)  # a lock may be gone when the next occurrence comes
    will_retry = not is_refused and retries < schedule.max_retries
    message = _error_message(error)
    _update(
        schedule, status=Status.FAILED, retry_count=retries, last_error=message,
        next_retry_at=Now() + Value(backoff.wait(retries)) if will_retry else None,
    )  # fmt: skip
    if not will_retry:
        end_later_steps(schedule, "has failed")
        _record("flag-schedule.fail", schedule, error=message, retryCount=retries)
        about = f"The scheduled change {schedule.pk} of the flag {schedule.flag_key}"
        notify(
            SCHEDULE_FAILED, f"{about} has failed: {message}", subject=schedule.subject,
            organization_id=schedule.organization_id, page=("admin:flags_flagschedule_change", schedule.pk),
            scheduleId=schedule.pk, flag=schedule.flag_key,
            error=message[:500],
        )  # fmt: skip
    log.warning(
        "schedule_failed", **_log_fields(schedule), error=message, retryCount=retries, triedAgain=will_retry,
        transient=transient_errors.is_transient(error), exc_info=None if is_refused else error,
    )  # fmt: skip
    if not is_permanent:
        _plan_next(schedule)
    return will_retry


def _update(schedule: FlagSchedule, **columns: object) -> None:
    FlagSchedule.objects.filter(pk=schedule.pk).update(attempts=schedule.attempts + 1, updated_at=Now(), **columns)


def _plan_next(schedule: FlagSchedule) -> None:
    """Create the next occurrence of a recurring schedule, when this occurrence is tried the first time.

    The next occurrence is in the first slot after now. Earlier slots are left out, because this occurrence stands for
    them.
    """
    if not schedule.cron or schedule.attempts:
        return
    latest = max(now(), schedule.scheduled_at)
    try:
        slot = recurrence(schedule.cron, schedule.time_zone).after(latest)
    except InvalidSchedule as error:  # the time zone is no longer known, or the recurrence has no further slot
        log.warning("schedule_recurs_no_more", **_log_fields(schedule), error=error.detail)
        return
    FlagSchedule.objects.create(
        flag_id=schedule.flag_id, flag_key=schedule.flag_key, organization_id=schedule.organization_id,
        wanted=schedule.wanted, scheduled_at=slot, max_retries=schedule.max_retries, cron=schedule.cron,
        time_zone=schedule.time_zone, series_id=schedule.series_id or schedule.pk, created_by=schedule.created_by,
        author_organization_id=schedule.author_organization_id, reason=schedule.reason,
        correlation_id=schedule.correlation_id,
    )  # fmt: skip


def _record(action: str, schedule: FlagSchedule, **details: object) -> None:
    with actor.acting(CHANNEL, actor=schedule.created_by, correlation_id=schedule.correlation_id):
        audit_log.record(
            action, schedule.subject, by=schedule.created_by, organization_id=schedule.organization_id,
            reason=schedule.reason, flag=schedule.flag_key, wanted=schedule.wanted, **details,
        )  # fmt: skip


def _log_fields(schedule: FlagSchedule) -> dict[str, object]:
    return {
        "scheduleId": schedule.pk,
        "flag": schedule.flag_key,
        "organizationId": schedule.organization_id,
        "correlationId": schedule.correlation_id,
    }


def _error_message(error: Exception) -> str:
    """Return the error's message. For a database error it is the first line, because the others show internals."""
    if detail := getattr(error, "detail", None):
        return str(detail).replace("\x00", "")[:MAX_ERROR_LENGTH]
    message = str(error).replace("\x00", "").strip().partition("\n")[0]
    is_clear = message and isinstance(error, DatabaseError)
    return (message if is_clear else f"{type(error).__name__}: {message}".removesuffix(": "))[:MAX_ERROR_LENGTH]
