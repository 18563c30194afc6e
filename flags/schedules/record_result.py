"""Recording what an attempt to apply a schedule came to: its status, the audit entry, the next occurrence."""

from __future__ import annotations

import structlog
from django.db import DatabaseError
from django.db.models import Value
from django.db.models.functions import Now

from flags.errors import FlagNotFound, FlagPurging, InvalidDefinition, InvalidFlagKey, InvalidSchedule
from flags.schedules import backoff
from flags.schedules.apply import CHANNEL, AppliedChange
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.db.clock import now
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound

log = structlog.get_logger(__name__)
Status = FlagSchedule.Status
USELESS = (FlagNotFound, FlagPurging, InvalidDefinition, InvalidFlagKey, InvalidSchedule, OrganizationNotFound)
"""Errors that another attempt would meet again."""
LONGEST_ERROR = 2_000


def record_success(schedule: FlagSchedule, change: AppliedChange) -> None:
    """Record that the schedule is applied, inside the transaction of the change."""
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
    """Record that an attempt failed, in a transaction that outlives the one that failed.

    Returns whether the schedule is tried again. `USELESS` errors mean no retry: a flag that is gone stays gone. After
    any other error, passing or unforeseen, there is one.
    """
    retries = schedule.retry_count + (schedule.status == Status.FAILED)
    useless = isinstance(error, USELESS)
    again = not useless and retries < schedule.max_retries
    words = _error_words(error)
    _update(
        schedule, status=Status.FAILED, retry_count=retries, last_error=words,
        next_retry_at=Now() + Value(backoff.wait(retries)) if again else None,
    )  # fmt: skip
    if not again:
        _record("flag-schedule.fail", schedule, error=words, retryCount=retries)
    log.warning(
        "schedule_failed", **_log_fields(schedule), error=words, retryCount=retries, triedAgain=again,
        transient=transient_errors.is_transient(error), exc_info=None if useless else error,
    )  # fmt: skip
    if not useless:
        _plan_next(schedule)
    return again


def _update(schedule: FlagSchedule, **columns: object) -> None:
    FlagSchedule.objects.filter(pk=schedule.pk).update(attempts=schedule.attempts + 1, updated_at=Now(), **columns)


def _plan_next(schedule: FlagSchedule) -> None:
    """Create the next occurrence of a recurring schedule, once, when this one is first tried: the next slot from now.

    Slots that were missed meanwhile are left out; this occurrence has made up for them.
    """
    if not schedule.cron or schedule.attempts:
        return
    latest = max(now(), schedule.scheduled_at)
    try:
        slot = recurrence(schedule.cron, schedule.time_zone).after(latest)
    except InvalidSchedule as error:  # the zone is no longer known, or there is no further slot
        log.warning("schedule_recurs_no_more", **_log_fields(schedule), error=error.detail)
        return
    FlagSchedule.objects.create(
        flag_id=schedule.flag_id, flag_key=schedule.flag_key, organization_id=schedule.organization_id,
        wanted=schedule.wanted, scheduled_at=slot, max_retries=schedule.max_retries, cron=schedule.cron,
        time_zone=schedule.time_zone, series_id=schedule.series_id or schedule.pk, created_by=schedule.created_by,
        reason=schedule.reason, correlation_id=schedule.correlation_id,
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


def _error_words(error: Exception) -> str:
    """The error as jobs tell it; of a database error the first line, since the others name functions of PostgreSQL."""
    if detail := getattr(error, "detail", None):
        return str(detail).replace("\x00", "")[:LONGEST_ERROR]
    words = str(error).replace("\x00", "").strip().partition("\n")[0]
    is_clear = words and isinstance(error, DatabaseError)
    return (words if is_clear else f"{type(error).__name__}: {words}".removesuffix(": "))[:LONGEST_ERROR]
