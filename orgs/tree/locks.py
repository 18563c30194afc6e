"""The tree lock: one transaction at a time changes the tree, or any number of transactions rely on it.

Every change of the tree (create, move, delete, import, rebuild) takes the lock exclusively. Every chunk of a
propagation and every accepted flag change takes it shared. It is always the first statement of the transaction, so that
later reads stay true until the commit. `docs/locking.md` has the order of all locks.

Workers and commands wait without a limit. A request waits until REQUEST_SECONDS after it came in, so that its client
hears within a second that it has to send the request again.
"""

from __future__ import annotations

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
REQUEST_SECONDS = 0.9
"""A request waits for the tree lock until so long after it came in. The wait for a thread counts too."""
SHORTEST_WAIT_SECONDS = 0.2
"""A request that has waited long for a thread waits so long for the tree lock nevertheless."""


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
            waited = time.monotonic() - actor.current().came_at
            _take_within(max(SHORTEST_WAIT_SECONDS, REQUEST_SECONDS - waited), cursor, statement)


def _take_within(seconds: float, cursor: CursorWrapper, statement: str) -> None:
    try:
        cursor.execute(
            f"SET LOCAL lock_timeout = {int(seconds * 1000)}; {statement}; SET LOCAL lock_timeout TO DEFAULT"
        )
    except OperationalError as error:
        if not is_wait_for_lock(error):
            raise
        raise TreeBusy from error
