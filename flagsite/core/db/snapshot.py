"""Reading several things as they were at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all queries inside see the database as it is at the first of them; nothing waits for it.

    An organization's place in the tree is two numbers that change with every organization created to its left: read
    by one query and used by the next, they could be those of a stranger. Inside of a transaction that has begun
    already, that one's rules hold.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
