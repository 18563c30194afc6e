"""Transient database errors: how to recognize them, and how to retry after one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
FIRST_PAUSE_SECONDS = 0.2  # each further pause is twice as long
LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of PostgreSQL after lock_timeout."""
TIMEOUT_STATES = {
    LOCK_NOT_AVAILABLE,  # lock_timeout
    "57014",  # query_canceled: statement_timeout
}
TRANSIENT_STATES = TIMEOUT_STATES | {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "25P03",  # idle_in_transaction_session_timeout: the connection is gone
    "25P04",  # transaction_timeout
}
SERVER_GONE_PREFIXES = (
    "08",
    "53",
    "57P",
)  # connection exceptions; out of disk, memory, connections; shutdown, starting up


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may succeed, as after a deadlock, a timeout or a lost connection."""
    if isinstance(error, InterfaceError):
        return True
    state = _state(error)
    if state is None:
        return isinstance(error, OperationalError)
    return state in TRANSIENT_STATES or state.startswith(SERVER_GONE_PREFIXES)


def is_timeout(error: BaseException) -> bool:
    """Return whether a statement or its wait for a lock took too long; smaller statements may succeed."""
    return _state(error) in TIMEOUT_STATES


def is_wait_for_lock(error: BaseException) -> bool:
    """Return whether lock_timeout ended the wait for a lock."""
    return _state(error) == LOCK_NOT_AVAILABLE


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(error.__cause__ or error, "sqlstate", None)
    return state


def reconnect() -> None:
    """Close this thread's connection; Django opens a new one at the next query."""
    connection.close()


def retry_transient_errors(step: Callable[[], Result], *, timeout_seconds: float, max_pause_seconds: float) -> Result:
    """Call `step`; after a transient error, call it again on a new connection, with pauses in between.

    The step must be safe to repeat. Returns what the step returns. Raises an error that is not transient at once, and
    a transient error that occurs after `timeout_seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = min(FIRST_PAUSE_SECONDS, max_pause_seconds)
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not is_transient(error) or time.monotonic() > deadline:
                raise
            log.warning("database_away", error=str(error))
        reconnect()
        time.sleep(pause)
        pause = min(pause * 2, max_pause_seconds)
