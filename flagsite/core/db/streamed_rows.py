"""Reading the rows of a query that can have millions of rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from flagsite.core.db.copy_in import BLOCK_SIZE


def streamed(query: str, parameters: Any = None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query from a cursor on the server; memory holds one block.

    PostgreSQL plans and runs the query once, so all rows are of one state of the database. The cursor lives in a
    transaction, which also keeps it in one session of a connection pooler. Outside of a transaction, one is opened.
    """
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(query, parameters)
        while block := cursor.fetchmany(BLOCK_SIZE):
            yield from block
