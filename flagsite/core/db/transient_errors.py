"""Which database errors pass by themselves, and how to try again after one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
FIRST_PAUSE = 0.2  # seconds; each further pause is twice as long
LOCK_NOT_AVAILABLE = "55P03"
"""What PostgreSQL says when lock_timeout is over."""
TIME_OUTS = {
    LOCK_NOT_AVAILABLE,  # lock_timeout
    "57014",  # query_canceled: statement_timeout
}
PASSING = TIME_OUTS | {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "25P03",  # idle_in_transaction_session_timeout: the connection is gone
    "25P04",  # transaction_timeout
}
SERVER_GONE = ("08", "53", "57P")  # connection exceptions; out of disk, memory, connections; shutdown, starting up


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may well succeed in a moment: deadlock, time-out, lost connection."""
    if isinstance(error, InterfaceError):
        return True
    state = _state(error)
    if state is None:
        return isinstance(error, OperationalError)
    return state in PASSING or state.startswith(SERVER_GONE)


def is_time_out(error: BaseException) -> bool:
    """Whether a statement or its wait for a lock took too long; smaller ones may pass."""
    return _state(error) in TIME_OUTS


def is_wait_for_lock(error: BaseException) -> bool:
    """Whether lock_timeout ended the wait for a lock."""
    return _state(error) == LOCK_NOT_AVAILABLE


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(error.__cause__ or error, "sqlstate", None)
    return state


def reconnect() -> None:
    """Drop this thread's connection; Django opens another at the next query."""
    connection.close()


def retry_while_away(step: Callable[[], Result], *, patience: float, longest_pause: float) -> Result:
    """Do a step; after a transient error do it again on a fresh connection, with pauses in between.

    The step must be safe to do twice. `patience` and `longest_pause` are seconds. Raises an error that is not transient
    at once, and a transient one that comes when `patience` is over.
    """
    deadline = time.monotonic() + patience
    pause = min(FIRST_PAUSE, longest_pause)
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not is_transient(error) or time.monotonic() > deadline:
                raise
            log.warning("database_away", error=str(error))
        reconnect()
        time.sleep(pause)
        pause = min(pause * 2, longest_pause)
