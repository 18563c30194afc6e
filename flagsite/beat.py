"""Celery beat with its schedule in the database, of which one at a time is at work, however many are started."""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from django.db import connection
from django_celery_beat.schedulers import DatabaseScheduler

log = structlog.get_logger(__name__)
BEAT_LOCK = 7_260_143
"""Key of the PostgreSQL advisory lock that the beat at work holds on a connection of its own."""
STANDBY_SECONDS = 2.0


class OneAtATimeScheduler(DatabaseScheduler):
    """Does nothing while another beat holds the lock; takes over when that one is gone.

    What ran last is written after each task (beat_sync_every = 1), and read again when taking over, so that each
    slot of the schedule is sent once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guard: psycopg.Connection[Any] | None = None
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this beat is the one at work; seconds until the next look."""
        if not self._is_at_work():
            return STANDBY_SECONDS
        return float(super().tick(*args, **kwargs))

    def close(self) -> None:
        super().close()
        if self._guard is not None:
            self._guard.close()

    def _is_at_work(self) -> bool:
        if self._guard is not None and _answers(self._guard):
            return True
        self._guard = _take_lock()
        if self._guard is None:
            return False
        log.info("beat_at_work")
        self._schedule, self._initial_read, self._last_timestamp = None, True, None  # read anew what ran last
        self._heap = None
        return True


def _take_lock() -> psycopg.Connection[Any] | None:
    """A connection that holds the lock, or None: another beat has it, or the database is away."""
    parameters = {name: value for name, value in connection.get_connection_params().items() if name in CONNECT}
    try:
        guard = psycopg.connect(**parameters, autocommit=True, connect_timeout=3)
    except psycopg.Error as error:
        log.warning("beat_without_database", error=str(error))
        return None
    row = guard.execute("SELECT pg_try_advisory_lock(%s)", [BEAT_LOCK]).fetchone()
    if row and row[0]:
        return guard
    guard.close()
    return None


CONNECT = {"host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"}


def _answers(guard: psycopg.Connection[Any]) -> bool:
    try:
        guard.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
