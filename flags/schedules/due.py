"""Applying the schedules that are due, each in a transaction of its own that holds the schedule's row to its end.

Beat asks for it, and it is a maintenance task of every worker, so any number of processes may do it at once. The lock
on the row is the claim: it cannot run out, and a process or a connection that dies gives it back together with all
that it had done, so nothing is applied twice and nothing is lost.
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
AT_ONCE = 100
"""Schedules that one run takes; the next run takes the rest."""
LONGEST_RUN = 30.0
"""Seconds after which a run takes no more, however slow the database is."""
LOCK_PATIENCE = "SET LOCAL lock_timeout = '10s'"
"""For the tree lock, which an import may hold for long. Waiting in vain is a failure with a retry."""

CLAIM = f"""
SELECT due.id
  FROM flags_flagschedule due LEFT JOIN orgs_organization organization ON organization.id = due.organization_id
 WHERE (due.status = 'pending' AND due.scheduled_at <= statement_timestamp()
        OR due.status = 'failed' AND due.next_retry_at <= statement_timestamp() AND due.retry_count < due.max_retries)
   AND NOT EXISTS (  -- in order: an earlier one that reaches the same organizations is in work or waits for its retry
    SELECT FROM flags_flagschedule earlier
      LEFT JOIN orgs_organization other_organization ON other_organization.id = earlier.organization_id
     WHERE earlier.flag_id = due.flag_id AND (earlier.scheduled_at, earlier.id) < (due.scheduled_at, due.id)
       AND earlier.status IN ('pending', 'failed')
       AND (earlier.status = 'pending'
            OR earlier.next_retry_at IS NOT NULL AND earlier.retry_count < earlier.max_retries)
       AND (earlier.organization_id IS NULL AND due.organization_id IS NULL
            OR {subtrees_overlap("organization", "other_organization")})
     OFFSET 0)  -- looked up by index for each that is due; as a join it would read all that are to come
 ORDER BY due.status = 'failed' DESC, due.scheduled_at, due.id
 LIMIT 1 FOR UPDATE OF due SKIP LOCKED
"""  # noqa: S608 - no input in it


@dataclass(slots=True)
class DueResult:
    """How many schedules a run applied, and how many attempts failed."""

    applied: int = 0
    failed: int = 0
    """For good."""
    delayed: int = 0
    """Failed, with a retry to come."""

    @property
    def tried(self) -> int:
        return self.applied + self.failed + self.delayed


@maintenance_task
def apply_due() -> DueResult:
    """Apply what is due: retries first, then by time; of each flag in order. Raises DatabaseError with no database."""
    result = DueResult()
    deadline = time.monotonic() + LONGEST_RUN
    while result.tried < AT_ONCE and time.monotonic() < deadline and _apply_next(result):
        continue
    for name in ("applied", "failed", "delayed"):
        if count := getattr(result, name):
            counters.add(f"schedules_{name}", count)
    return result


def _apply_next(result: DueResult) -> bool:
    """Claim the next schedule that is due, apply it and count what came of it; False when none is due."""
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
    """The next schedule that is due and that no other process holds, locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM)
        row = cursor.fetchone()
    return FlagSchedule.objects.get(pk=row[0]) if row else None


def _apply(schedule: FlagSchedule) -> Exception | None:
    """Apply it in a savepoint. Returns None, or the error that undid it; raises where the whole transaction is lost."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LOCK_PATIENCE)
            record_success(schedule, apply.apply(schedule))
    except Exception as error:
        if connection.needs_rollback:  # the connection is gone, and the lock on the row with it
            raise
        return error
    return None


def _record_lost_transaction(schedule: FlagSchedule, error: Exception, result: DueResult) -> bool:
    """Record the failure on a new connection, unless the commit went through after all or another process has the row.

    Raises where the database is away altogether: then the row is as it was, and a later run takes it. Returns True.
    """
    transient_errors.reconnect()
    with transaction.atomic():
        same = FlagSchedule.objects.select_for_update(skip_locked=True).filter(
            pk=schedule.pk, status=schedule.status, attempts=schedule.attempts
        )
        found = same.first()
        again = found is not None and record_failure(found, error)
    if found is not None:
        _count(result, error, again=again)
    return True


def _count(result: DueResult, error: Exception | None, *, again: bool) -> None:
    if error is None:
        result.applied += 1
    elif again:
        result.delayed += 1
    else:
        result.failed += 1
