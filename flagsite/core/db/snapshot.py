"""Several queries that see the database in one state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all queries of the block see the database as it is at the first query. The block takes no locks.

    The nested set describes an organization's subtree by numbers that a move, or a creation beside it, can give to
    others. Without a snapshot, one query could read these numbers and the next query could find organizations of other
    customers by them. Inside a transaction that has already begun, that transaction's isolation level stays.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
