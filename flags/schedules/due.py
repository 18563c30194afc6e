"""The tick: applies what is due, each in a transaction of its own that holds the schedule's row to its end.

Beat asks for it, and each worker does it by itself, so any number of ticks may run at once. The lock on the row is the
claim: it cannot run out, and a process or a connection that dies gives it back together with all that it had done, so
nothing is applied twice and nothing is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from django.db import connection, transaction

from flags.schedules import apply, results
from flags.schedules.models import FlagSchedule
from flagsite.core.db import transient_errors
from jobs.engine.maintenance import maintenance_task
from jobs.metrics import counters
from orgs.tree.subtrees import subtrees_overlap

log = structlog.get_logger(__name__)
AT_ONCE = 100
"""Schedules that one tick takes; the next takes the rest."""
LONGEST_TICK = 30.0
"""Seconds after which a tick takes no more, however slow the database is."""
LOCK_PATIENCE = "SET LOCAL lock_timeout = '10s'"
"""For the tree lock, which an import may hold for long; it counts as a failure that passes."""

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
    """What a tick did."""

    applied: int = 0
    failed: int = 0
    """For good."""
    delayed: int = 0
    """Failed, and tried again later."""

    @property
    def tried(self) -> int:
        return self.applied + self.failed + self.delayed


@maintenance_task
def apply_due() -> DueResult:
    """Apply what is due: retries first, then by time; of each flag in order. Raises DatabaseError with no database."""
    ticked = DueResult()
    deadline = time.monotonic() + LONGEST_TICK
    while ticked.tried < AT_ONCE and time.monotonic() < deadline and _take_next(ticked):
        continue
    for name in ("applied", "failed", "delayed"):
        if count := getattr(ticked, name):
            counters.add(f"schedules_{name}", count)
    return ticked


def _take_next(ticked: DueResult) -> bool:
    """Claim one that is due and see to it; False when there is none."""
    schedule: FlagSchedule | None = None
    try:
        with transaction.atomic():
            schedule = claim()
            if schedule is None:
                return False
            error = _apply(schedule)
            again = error is not None and results.failed(schedule, error)
    except Exception as loss:
        if schedule is None:
            raise
        log.warning("schedule_transaction_lost", scheduleId=schedule.pk, error=str(loss))
        return _store_anew(schedule, loss, ticked)
    _count(ticked, error, again=again)
    return True


def claim() -> FlagSchedule | None:
    """The next that is due and that nobody else has in work, locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM)
        row = cursor.fetchone()
    return FlagSchedule.objects.get(pk=row[0]) if row else None


def _apply(schedule: FlagSchedule) -> Exception | None:
    """Apply it, in a savepoint: None, or the error that undid it. Raises where the whole transaction is lost."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LOCK_PATIENCE)
            results.applied(schedule, apply.apply(schedule))
    except Exception as error:
        if connection.needs_rollback:  # the connection is gone, and the lock on the row with it
            raise
        return error
    return None


def _store_anew(schedule: FlagSchedule, error: Exception, ticked: DueResult) -> bool:
    """Note the failure on a fresh connection, unless the commit went through after all or another has it in work.

    Raises where the database is away altogether: then the row is as it was, and a later tick takes it.
    """
    transient_errors.reconnect()
    with transaction.atomic():
        same = FlagSchedule.objects.select_for_update(skip_locked=True).filter(
            pk=schedule.pk, status=schedule.status, attempts=schedule.attempts
        )
        found = same.first()
        again = found is not None and results.failed(found, error)
    if found is not None:
        _count(ticked, error, again=again)
    return True


def _count(ticked: DueResult, error: Exception | None, *, again: bool) -> None:
    if error is None:
        ticked.applied += 1
    elif again:
        ticked.delayed += 1
    else:
        ticked.failed += 1
