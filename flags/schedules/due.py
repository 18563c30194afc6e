"""Applying the schedules that are due. Each schedule has its own transaction, which locks the schedule's row.

Beat starts this work, and it is also a maintenance task of every worker, so several processes may do it at the same
time. The row lock claims a schedule for one process. The lock has no time limit. If the process or its connection
dies, PostgreSQL releases the lock and rolls the transaction back. So no schedule is applied twice and none is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from django.db import connection, transaction

from flags.schedules import apply
from flags.schedules.models import FlagSchedule
from flags.schedules.record_result import record_failure, record_success
from flagsite.core.db import transient_errors
from jobs.counting import counters
from jobs.engine.maintenance import maintenance_task
from orgs.tree.subtrees import subtrees_overlap

log = structlog.get_logger(__name__)
MAX_SCHEDULES_PER_RUN = 100
"""The next run applies the remaining schedules."""
MAX_RUN_SECONDS = 30.0
"""After this time a run claims no more schedules."""
SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
"""Limits the wait for the tree lock, which an import may hold for long. A time-out is a failure with a retry."""

CLAIM = f"""
SELECT due.id
  FROM flags_flagschedule due LEFT JOIN orgs_organization organization ON organization.id = due.organization_id
 WHERE (due.status = 'pending' AND due.scheduled_at <= statement_timestamp()
        OR due.status = 'failed' AND due.next_retry_at <= statement_timestamp() AND due.retry_count < due.max_retries)
   AND NOT EXISTS (  -- keep the order: an earlier schedule for the same organizations is due or waits for its retry
    SELECT FROM flags_flagschedule earlier
      LEFT JOIN orgs_organization other_organization ON other_organization.id = earlier.organization_id
     WHERE earlier.flag_id = due.flag_id AND (earlier.scheduled_at, earlier.id) < (due.scheduled_at, due.id)
       AND earlier.status IN ('pending', 'failed')
       AND (earlier.status = 'pending'
            OR earlier.next_retry_at IS NOT NULL AND earlier.retry_count < earlier.max_retries)
       AND (earlier.organization_id IS NULL AND due.organization_id IS NULL
            OR {subtrees_overlap("organization", "other_organization")})
     OFFSET 0)  -- an index look-up for each due schedule; a join would read all pending schedules
 ORDER BY due.status = 'failed' DESC, due.scheduled_at, due.id
 LIMIT 1 FOR UPDATE OF due SKIP LOCKED
"""  # noqa: S608 - no input in it


@dataclass(slots=True)
class DueResult:
    """The numbers of schedules that a run applied, and that failed."""

    applied: int = 0
    failed: int = 0
    """Failed without another retry."""
    delayed: int = 0
    """Failed, and will be tried again."""

    @property
    def tried(self) -> int:
        return self.applied + self.failed + self.delayed


@maintenance_task
def apply_due() -> DueResult:
    """Apply the due schedules: retries first, then by time, and in order for each flag. Raises DatabaseError."""
    result = DueResult()
    deadline = time.monotonic() + MAX_RUN_SECONDS
    while result.tried < MAX_SCHEDULES_PER_RUN and time.monotonic() < deadline and _apply_next(result):
        continue
    for name in ("applied", "failed", "delayed"):
        if count := getattr(result, name):
            counters.add(f"schedules_{name}", count)
    return result


def _apply_next(result: DueResult) -> bool:
    """Claim the next due schedule, apply it, and count the result. Returns False if no schedule is due."""
    schedule: FlagSchedule | None = None
    try:
        with transaction.atomic():
            schedule = claim_due()
            if schedule is None:
                return False
            error = _apply(schedule)
            again = error is not None and record_failure(schedule, error)
    except Exception as loss:
        if schedule is None:
            raise
        log.warning("schedule_transaction_lost", scheduleId=schedule.pk, error=str(loss))
        return _record_lost_transaction(schedule, loss, result)
    _count(result, error, again=again)
    return True


def claim_due() -> FlagSchedule | None:
    """Return the next due schedule that no other process has locked, and lock it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM)
        row = cursor.fetchone()
    return FlagSchedule.objects.get(pk=row[0]) if row else None


def _apply(schedule: FlagSchedule) -> Exception | None:
    """Apply a schedule in a savepoint. Returns the error that undid it, if any; raises if the transaction is lost."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(SET_LOCK_TIMEOUT)
            record_success(schedule, apply.apply(schedule))
    except Exception as error:
        if connection.needs_rollback:  # the connection is lost, and so is the row lock
            raise
        return error
    return None


def _record_lost_transaction(schedule: FlagSchedule, error: Exception, result: DueResult) -> bool:
    """Record the failure on a new connection, unless the commit succeeded or another process has claimed the schedule.

    Raises DatabaseError if there is no database. Then the row has not changed, and a later run claims it. Returns True.
    """
    transient_errors.reconnect()
    with transaction.atomic():
        unchanged = FlagSchedule.objects.select_for_update(skip_locked=True).filter(
            pk=schedule.pk, status=schedule.status, attempts=schedule.attempts
        )
        locked = unchanged.first()
        again = locked is not None and record_failure(locked, error)
    if locked is not None:
        _count(result, error, again=again)
    return True


def _count(result: DueResult, error: Exception | None, *, again: bool) -> None:
    if error is None:
        result.applied += 1
    elif again:
        result.delayed += 1
    else:
        result.failed += 1
