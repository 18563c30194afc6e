"""The tree lock: one structural writer at a time, any number of readers that must not see the tree move.

Who takes it: every structural write (create, move, delete, import, rebuild) exclusively; every chunk of a
propagation and every accepted flag change shared. Always as the first statement of the transaction, so that
whatever is read afterwards cannot change before the commit. `docs/locking.md` has the whole order.
"""

from __future__ import annotations

from django.db import connection

from orgs.errors import OutsideTransaction

TREE_LOCK = 7_260_142
"""Key of the PostgreSQL advisory lock; the trigger of migration 0002 names the same number."""
FOR_WRITING = f"SELECT pg_advisory_xact_lock({TREE_LOCK})"
FOR_READING = f"SELECT pg_advisory_xact_lock_shared({TREE_LOCK})"
"""The statements, for who sends more in the same round trip; all others call the functions."""


def lock_tree_for_writing() -> None:
    """Wait for the tree and hold it alone until the transaction ends.

    Raises OutsideTransaction when there is no transaction that could hold the lock.
    """
    _take(FOR_WRITING)


def lock_tree_for_reading() -> None:
    """Keep structural writers out until the transaction ends; other readers pass.

    Raises OutsideTransaction when there is no transaction that could hold the lock.
    """
    _take(FOR_READING)


def _take(statement: str) -> None:
    if not connection.in_atomic_block:
        raise OutsideTransaction
    with connection.cursor() as cursor:
        cursor.execute(statement)
