"""What becomes of a schedule that was tried: applied, tried again later, failed for good; and when it comes next."""

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
from flags.schedules.time_parsing import now
from flagsite.core import actor
from flagsite.core.db import transient_errors
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound

log = structlog.get_logger(__name__)
Status = FlagSchedule.Status
USELESS = (FlagNotFound, FlagPurging, InvalidDefinition, InvalidFlagKey, InvalidSchedule, OrganizationNotFound)
"""Errors that another try would meet again."""
LONGEST_ERROR = 2_000


def applied(schedule: FlagSchedule, led_to: AppliedChange) -> None:
    """Note the success, inside the transaction of the change."""
    first_try = schedule.attempts == 0
    _write(
        schedule, status=Status.APPLIED, retry_count=0, next_retry_at=None, last_error="", applied_at=Now(),
        first_try=first_try, change_number=led_to.change_number, job_id=led_to.job_id, author_gone=led_to.author_gone,
    )  # fmt: skip
    details = {"authorGone": led_to.author_gone} if led_to.author_gone else {}
    _record("flag-schedule.apply", schedule, firstTry=first_try, changeNumber=led_to.change_number,
            jobId=led_to.job_id, **details)  # fmt: skip
    log.info("schedule_applied", **_fields(schedule), firstTry=first_try, **details)
    _plan_next(schedule)


def failed(schedule: FlagSchedule, error: Exception) -> bool:
    """Note the failure, in a transaction that outlives the one that failed; whether it will be tried again.

    What is gone or invalid stays so: no retry. Anything else, passing or unforeseen, is tried again.
    """
    retries = schedule.retry_count + (schedule.status == Status.FAILED)
    useless = isinstance(error, USELESS)
    again = not useless and retries < schedule.max_retries
    words = _words(error)
    _write(
        schedule, status=Status.FAILED, retry_count=retries, last_error=words,
        next_retry_at=Now() + Value(backoff.wait(retries)) if again else None,
    )  # fmt: skip
    if not again:
        _record("flag-schedule.fail", schedule, error=words, retryCount=retries)
    log.warning(
        "schedule_failed", **_fields(schedule), error=words, retryCount=retries, triedAgain=again,
        transient=transient_errors.is_transient(error), exc_info=None if useless else error,
    )  # fmt: skip
    if not useless:
        _plan_next(schedule)
    return again


def _write(schedule: FlagSchedule, **columns: object) -> None:
    FlagSchedule.objects.filter(pk=schedule.pk).update(attempts=schedule.attempts + 1, updated_at=Now(), **columns)


def _plan_next(schedule: FlagSchedule) -> None:
    """Make the next occurrence of a recurring one, once, when this one is first tried: the next slot from now on.

    Slots that were missed meanwhile are left out; this one has made up for them.
    """
    if not schedule.cron or schedule.attempts:
        return
    moment = max(now(), schedule.scheduled_at)
    try:
        slot = recurrence(schedule.cron, schedule.time_zone).after(moment)
    except InvalidSchedule as error:  # the zone is no longer known, or there is no further slot
        log.warning("schedule_recurs_no_more", **_fields(schedule), error=error.detail)
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


def _fields(schedule: FlagSchedule) -> dict[str, object]:
    return {
        "scheduleId": schedule.pk,
        "flag": schedule.flag_key,
        "organizationId": schedule.organization_id,
        "correlationId": schedule.correlation_id,
    }


def _words(error: Exception) -> str:
    """As jobs say it: of what the database says the first line; below it are its functions and line numbers."""
    if detail := getattr(error, "detail", None):
        return str(detail).replace("\x00", "")[:LONGEST_ERROR]
    words = str(error).replace("\x00", "").strip().partition("\n")[0]
    is_clear = words and isinstance(error, DatabaseError)
    return (words if is_clear else f"{type(error).__name__}: {words}".removesuffix(": "))[:LONGEST_ERROR]
