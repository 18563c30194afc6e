"""The tree lock: one transaction at a time changes the tree, or any number of transactions rely on it.

Every change of the tree (create, move, delete, import, rebuild) takes the lock exclusively. Every chunk of a
propagation and every accepted flag change takes it shared. It is always the first statement of the transaction, so that
later reads stay true until the commit. `docs/locking.md` has the order of all locks.

Workers and commands wait without a limit. In each process, one request waits for REQUEST_TIMEOUT_SECONDS at most, and
the other requests wait only at the beginning of this time. An import can hold the lock for a long time, and requests
that wait for it must leave threads for requests that only read.
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
"""The key of the PostgreSQL advisory lock. The trigger of migration 0002 uses the same number."""
FOR_WRITING = f"SELECT pg_advisory_xact_lock({TREE_LOCK})"
FOR_READING = f"SELECT pg_advisory_xact_lock_shared({TREE_LOCK})"
"""The statements, for code that sends other statements in the same round trip. Other code calls the functions."""
REQUEST_TIMEOUT_SECONDS = 5.0
"""A request waits this long for the tree lock before it is refused."""
SHORT_TIMEOUT_SECONDS = 1.0
"""Other requests wait this long beside it: a little longer than a chunk of a propagation holds the lock."""


def lock_tree_for_writing() -> None:
    """Take the tree lock exclusively until the end of the transaction.

    Raises OutsideTransaction without a transaction, and TreeBusy if a request has waited too long.
    """
    _take(FOR_WRITING)


def lock_tree_for_reading() -> None:
    """Take the tree lock shared until the end of the transaction, so that no other transaction changes the tree.

    Raises OutsideTransaction without a transaction, and TreeBusy if a request has waited too long.
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


class WaitingRequests:
    """The requests of this process that wait for the tree lock: the first waits long, and the others wait briefly."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._since: float | None = None
        """The start of the first request's wait, or None if no request waits."""

    def wait(self, cursor: CursorWrapper, statement: str) -> None:
        """Take the lock with the statement, within the time for this request. Raises TreeBusy."""
        with self._guard:
            is_first = self._since is None
            since = self._since = self._since or time.monotonic()
        try:
            _take_within(
                since + (REQUEST_TIMEOUT_SECONDS if is_first else SHORT_TIMEOUT_SECONDS) - time.monotonic(),
                cursor,
                statement,
            )
        finally:
            if is_first:
                self._since = None


_waiting = WaitingRequests()


def _take_within(seconds: float, cursor: CursorWrapper, statement: str) -> None:
    milliseconds = int(seconds * 1000)
    if milliseconds <= 0:  # for PostgreSQL, 0 means no limit
        raise TreeBusy
    try:
        cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}; {statement}; SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if not is_wait_for_lock(error):
            raise
        raise TreeBusy from error
