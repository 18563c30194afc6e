"""Celery beat with its schedule in the database, of which one at a time is at work, however many are started.

A slot of the schedule is claimed in the database, by the count of runs that the beat believes in, in the transaction
that does what is due. So of two beats, also while the lock goes from one to the other, one gets the slot; and a slot
that could not be used because database or broker were away is still due afterwards.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F, Max, QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from flagsite.core.db import transient_errors

log = structlog.get_logger(__name__)
BEAT_LOCK = 7_260_143
"""Key of the PostgreSQL advisory lock that the beat at work holds on a connection of its own."""
STANDBY_SECONDS = 2.0
"""Between two looks whether the other beat is gone, or the database back."""
AGAIN_SECONDS = 10.0
"""A task that could not be sent is tried again after so long."""
SOON = 0.01
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
IN_BEAT = {"jobs.clean_up", "jobs.send_canary"}
"""Tasks that only write a job: beat calls them itself, in the transaction that claims the slot, and needs no broker."""
NOTICE_LOSS = "SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_count', '3', false), \
set_config('tcp_keepalives_interval', '3', false)"
"""The server too is to notice soon that the machine of the beat at work is gone, and to give the lock to another."""


class SlotTaken(Exception):
    """The entry is not what the database has: another beat sent it, or it was changed or disabled."""


class OneAtATimeScheduler(DatabaseScheduler):
    """Does nothing while another beat holds the lock; takes over when that one is gone."""

    _schedule: dict[str, ModelEntry]
    _last_timestamp: datetime | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guard: psycopg.Connection[Any] | None = None
        self._not_before: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """The schedule is in the database, made by migrations; Celery's own clean-up of results has nothing to do."""

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """Every enabled task: a daily one that was missed is made up for at any hour of the day."""
        return PeriodicTask.objects.enabled()

    def schedule_changed(self) -> bool:
        """Whether it has since the last look; so says the first look, and the one that finds the very first change.

        The library takes a last change that it does not know for none: it would not notice what is changed right after
        its start, nor that tables which were empty have been filled by migrations, for five minutes.
        """
        self._last_timestamp = self._last_timestamp or LONG_AGO
        return bool(super().schedule_changed())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this beat is the one at work; seconds until the next look."""
        try:
            if not self._is_at_work():
                return STANDBY_SECONDS
            return min([self._look_at(entry) for entry in list(self.schedule.values())] + [float(self.max_interval)])
        except (DatabaseError, InterfaceError) as error:
            log.warning("beat_without_database", error=str(error))
            connection.close()
            self._read_anew()
            return STANDBY_SECONDS

    def sync(self) -> None:
        """Everything is written when it happens."""

    def close(self) -> None:
        super().close()
        self._let_go()

    def _look_at(self, entry: ModelEntry) -> float:
        """Send the entry if it is due; seconds until it is to be looked at again.

        One that cannot be sent, whatever the error, keeps none of the others from it.
        """
        pause = self._not_before.get(entry.name, 0) - time.monotonic()
        if pause > 0:
            return pause
        try:
            is_due, seconds = self.is_due(entry)
            if not is_due:
                return max(float(seconds), SOON)
            self._send(entry)
        except SlotTaken:
            self._read_anew()
        except Exception as error:
            if isinstance(error, (DatabaseError, InterfaceError)) and transient_errors.is_transient(error):
                raise
            log.exception("periodic_task_not_sent", task=entry.name, error=str(error))
            self._not_before[entry.name] = time.monotonic() + AGAIN_SECONDS
            self._read_anew()
        return SOON

    def _send(self, entry: ModelEntry) -> None:
        """Claim the slot and do what is due, or neither. Raises SlotTaken."""
        upcoming = next(entry)
        with transaction.atomic():
            slot = PeriodicTask.objects.filter(
                pk=entry.model.pk, enabled=True, total_run_count=upcoming.total_run_count - 1
            )
            # not by save(), which would tell every beat that the schedule has changed
            if slot.update(last_run_at=upcoming.last_run_at, total_run_count=F("total_run_count") + 1) != 1:
                raise SlotTaken
            task = self.app.tasks.get(entry.task) or self.app.signature(entry.task)
            if entry.task in IN_BEAT:
                task(*entry.args, **entry.kwargs)
            else:  # not through beat's own producer, which waits for the broker for ever
                task.apply_async(entry.args, entry.kwargs, retry=False, **entry.options)
        self._schedule[entry.name] = upcoming
        log.debug("periodic_task_sent", task=entry.name)

    def _read_anew(self) -> None:
        self._schedule, self._initial_read, self._last_timestamp = {}, True, None

    def _is_at_work(self) -> bool:
        if self._guard is not None and _answers(self._guard):
            return True
        self._let_go()
        self._guard = _take_lock()
        if self._guard is None:
            return False
        log.info("beat_at_work")
        self._read_anew()
        return True

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def last_tick_age() -> float | None:
    """Seconds since beat sent anything, by the machines' clocks; None if it never did."""
    newest = PeriodicTask.objects.aggregate(newest=Max("last_run_at"))["newest"]
    if newest is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM statement_timestamp() - %s)::float8", [newest])
        return float(cursor.fetchone()[0])


def _take_lock() -> psycopg.Connection[Any] | None:
    """A connection that holds the lock, or None: another beat has it, or the database is away."""
    parameters = {name: value for name, value in connection.get_connection_params().items() if name not in DJANGOS}
    try:
        guard = psycopg.connect(**{**parameters, "connect_timeout": 3}, autocommit=True)
        row = guard.execute("SELECT pg_try_advisory_lock(%s)", [BEAT_LOCK]).fetchone()
        guard.execute(NOTICE_LOSS)
    except psycopg.Error as error:
        log.warning("beat_without_database", error=str(error))
        return None
    if row and row[0]:
        return guard
    guard.close()
    return None


DJANGOS = {"cursor_factory", "context", "prepare_threshold"}
"""What Django hands to psycopg beside the server's address."""


def _answers(guard: psycopg.Connection[Any]) -> bool:
    try:
        guard.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
