"""Celery's scheduler (beat), with its schedule in the database. If several beats run, only one sends tasks at a time.

The active beat holds an advisory lock of PostgreSQL. Before a beat carries out a run of a periodic task, it claims the
run in the same transaction: it adds one to the task's count of runs, if the count is still the one that the beat has
read. So only one of two beats gets the run, also while the lock passes from one to the other. A run that fails because
the database or the broker is away is still due afterwards.
"""

from __future__ import annotations

import os
import time
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F, Max, QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from flagsite.core.adapters.celery_beat import RereadingScheduler
from flagsite.core.adapters.django_orm import direct_parameters, ordinary_parameters
from flagsite.core.db import clock, sessions, transient_errors

log = structlog.get_logger(__name__)
BEAT_LOCK = 7_260_143
"""Key of the PostgreSQL advisory lock that the active beat holds, on a connection of its own."""
STANDBY_SECONDS = 2.0
"""The time until a beat without the lock or without a database tries again."""
RESEND_SECONDS = 10.0
"""The time until a beat tries again to send a task that could not be sent."""
MIN_WAIT_SECONDS = 0.01
PARENT_VARIABLE = "FLAGSITE_BEAT_PARENT"
"""The environment variable with the pid of the worker that has started this beat, and with which it has to end."""
RUN_BY_BEAT = {"jobs.clean_up", "jobs.enqueue", "jobs.send_canary"}
"""Tasks that only create a job. Beat runs them itself, in the transaction that claims the run, without the broker."""
SET_KEEP_ALIVE = (
    "SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_count', '3', false), \
set_config('tcp_keepalives_interval', '3', false)"
)
"""With these settings PostgreSQL notices within seconds that the active beat's machine is gone, and frees the lock."""


class RunAlreadyTaken(Exception):
    """Another beat has taken the run, or the task was changed or disabled: the count of runs is not as expected."""


class OneAtATimeScheduler(RereadingScheduler):
    """A scheduler that sends tasks while it holds the lock, and otherwise waits for the lock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock_connection: psycopg.Connection[Any] | None = None
        self._not_before: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Add nothing. Migrations create the schedule, and Flagsite has no task results to delete."""

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """Return every enabled task, so that a daily task that was missed runs at any hour of the day."""
        return PeriodicTask.objects.enabled()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send every due task if this beat holds the lock. Returns the seconds until the next tick.

        Raises SystemExit if the worker that has started this beat is gone.
        """
        if os.environ.get(PARENT_VARIABLE, str(os.getppid())) != str(os.getppid()):
            raise SystemExit(0)
        try:
            if not self._has_lock():
                return STANDBY_SECONDS
            waits = [self._send_if_due(entry) for entry in list(self.schedule.values())]
            return min([*waits, float(self.max_interval)])
        except (DatabaseError, InterfaceError) as error:
            log.warning("beat_without_database", error=str(error))
            connection.close()
            self.read_schedule_again()
            return STANDBY_SECONDS

    def sync(self) -> None:
        """Write nothing, because `send` has written each run already."""

    def close(self) -> None:
        super().close()
        self._release_lock()

    def send(self, entry: ModelEntry) -> None:
        """Claim the next run of the entry and send its task, both or neither. Raises RunAlreadyTaken."""
        upcoming = next(entry)
        with transaction.atomic():
            unclaimed = PeriodicTask.objects.filter(
                pk=entry.model.pk, enabled=True, total_run_count=upcoming.total_run_count - 1
            )
            # not with save(), after which every beat would reload the schedule
            if unclaimed.update(last_run_at=upcoming.last_run_at, total_run_count=F("total_run_count") + 1) != 1:
                raise RunAlreadyTaken
            task = self.app.tasks.get(entry.task) or self.app.signature(entry.task)
            if entry.task in RUN_BY_BEAT:
                task(*entry.args, **entry.kwargs)
            else:  # not with beat's own producer, which waits for the broker without a timeout
                task.apply_async(entry.args, entry.kwargs, retry=False, **entry.options)
        self.replace_entry(upcoming)
        log.debug("periodic_task_sent", task=entry.name)

    def _send_if_due(self, entry: ModelEntry) -> float:
        """Send the entry if it is due. Returns the seconds until it may be due again.

        If an entry cannot be sent, the other entries are sent nevertheless, unless the database is away.
        """
        pause = self._not_before.get(entry.name, 0) - time.monotonic()
        if pause > 0:
            return pause
        try:
            is_due, seconds = self.is_due(entry)
            if not is_due:
                return max(float(seconds), MIN_WAIT_SECONDS)
            self.send(entry)
        except RunAlreadyTaken:
            self.read_schedule_again()
        except Exception as error:
            if isinstance(error, (DatabaseError, InterfaceError)) and transient_errors.is_transient(error):
                raise
            log.exception("periodic_task_not_sent", task=entry.name, error=str(error))
            self._not_before[entry.name] = time.monotonic() + RESEND_SECONDS
            self.read_schedule_again()
        return MIN_WAIT_SECONDS

    def _has_lock(self) -> bool:
        """Whether this beat holds the lock or has taken it now."""
        if self._lock_connection is not None and _is_usable(self._lock_connection):
            return True
        self._release_lock()
        self._lock_connection = _take_lock()
        if self._lock_connection is None:
            return False
        log.info("beat_at_work")
        self.read_schedule_again()
        return True

    def _release_lock(self) -> None:
        if self._lock_connection is not None:
            self._lock_connection.close()
            self._lock_connection = None


def last_tick_age() -> float | None:
    """Seconds since beat last sent a task, by the database's clock; None if beat has never sent one."""
    newest = PeriodicTask.objects.aggregate(newest=Max("last_run_at"))["newest"]
    if newest is None:
        return None
    return (clock.now() - newest).total_seconds()


def _take_lock() -> psycopg.Connection[Any] | None:
    """Return a connection that holds the lock, or None if another beat holds it or the database is away."""
    try:
        candidate = psycopg.connect(**{**direct_parameters(), "connect_timeout": 3}, autocommit=True)
        if settings.DATABASE_DIRECT or sessions.has_pooler(candidate):
            with psycopg.connect(**ordinary_parameters(), autocommit=True) as speaker:
                sessions.prove_session(candidate, speaker)
        row = candidate.execute("SELECT pg_try_advisory_lock(%s)", [BEAT_LOCK]).fetchone()
        candidate.execute(SET_KEEP_ALIVE)
    except psycopg.Error as error:
        log.warning("beat_without_database", error=str(error))
        return None
    except sessions.NoSession as error:  # the lock would belong to whoever the pooler gives the session next
        log.warning("beat_without_session", error=f"{error} {error.advice}")
        candidate.close()
        return None
    if row and row[0]:
        return candidate
    candidate.close()
    return None


def _is_usable(lock_connection: psycopg.Connection[Any]) -> bool:
    try:
        lock_connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
