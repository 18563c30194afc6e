"""The tree lock: one structural writer at a time, any number of readers that must not see the tree move.

Who takes it: every structural write (create, move, delete, import, rebuild) exclusively; every chunk of a
propagation and every accepted flag change shared. Always as the first statement of the transaction, so that
whatever is read afterwards cannot change before the commit. `docs/locking.md` has the whole order.

Workers and commands wait as long as it takes. A request waits for LONGEST_WAIT at most, and in each process one alone
does: an import holds the tree for long, and requests that wait for it must leave threads to those that only read.
"""

from __future__ import annotations

import threading
import time

from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from flagsite.core import actor
from flagsite.core.db.transient_errors import is_wait_for_lock
from orgs.errors import OutsideTransaction, TreeBusy

TREE_LOCK = 7_260_142
"""Key of the PostgreSQL advisory lock; the trigger of migration 0002 names the same number."""
FOR_WRITING = f"SELECT pg_advisory_xact_lock({TREE_LOCK})"
FOR_READING = f"SELECT pg_advisory_xact_lock_shared({TREE_LOCK})"
"""The statements, for who sends more in the same round trip; all others call the functions."""
LONGEST_WAIT = 5.0
"""Seconds that a request waits for the tree before it is refused."""
MOMENT = 1.0
"""Seconds that others wait beside it: longer than a chunk of a propagation holds the tree, and no longer."""


def lock_tree_for_writing() -> None:
    """Wait for the tree and hold it alone until the transaction ends.

    Raises OutsideTransaction when there is no transaction that could hold the lock, and TreeBusy in a request.
    """
    _take(FOR_WRITING)


def lock_tree_for_reading() -> None:
    """Keep structural writers out until the transaction ends; other readers pass.

    Raises OutsideTransaction when there is no transaction that could hold the lock, and TreeBusy in a request.
    """
    _take(FOR_READING)


def _take(statement: str) -> None:
    if not connection.in_atomic_block:
        raise OutsideTransaction
    with connection.cursor() as cursor:
        if not actor.current().is_request:
            cursor.execute(statement)
            return
        cursor.execute(statement.replace("pg_advisory", "pg_try_advisory"))
        if not cursor.fetchone()[0]:
            _waiting.wait(cursor, statement)


class Waiting:
    """This process's requests that wait for the tree: the first of them long, others for the moment that is left."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._since: float | None = None
        """When the first one's wait began, as long as it lasts."""

    def wait(self, cursor: CursorWrapper, statement: str) -> None:
        """Take the lock by the statement, within the time that there is for it. Raises TreeBusy."""
        with self._guard:
            is_first = self._since is None
            since = self._since = self._since or time.monotonic()
        try:
            _take_within(since + (LONGEST_WAIT if is_first else MOMENT) - time.monotonic(), cursor, statement)
        finally:
            if is_first:
                self._since = None


_waiting = Waiting()


def _take_within(seconds: float, cursor: CursorWrapper, statement: str) -> None:
    milliseconds = int(seconds * 1000)
    if milliseconds <= 0:  # to PostgreSQL, 0 is for ever
        raise TreeBusy
    try:
        cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}; {statement}; SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if not is_wait_for_lock(error):
            raise
        raise TreeBusy from error
