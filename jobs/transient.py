"""Which database errors pass by themselves, and a fresh connection after one."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError, connection

PASSING = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available: lock_timeout
    "57014",  # query_canceled: statement_timeout
}
SERVER_GONE = ("08", "57P")  # connection exceptions; shutdown, crash, starting up


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may well succeed in a moment: deadlock, time-out, lost connection."""
    if isinstance(error, InterfaceError):
        return True
    state = getattr(error.__cause__ or error, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return state in PASSING or state.startswith(SERVER_GONE)


def reconnect() -> None:
    """Drop this thread's connection; Django opens another at the next query."""
    connection.close()
