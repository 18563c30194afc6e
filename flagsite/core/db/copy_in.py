"""Sending many rows to PostgreSQL with COPY, block by block."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.db import connection

BLOCK_SIZE = 10_000
"""The number of rows in a block."""


def copy_in(statement: str, rows: Iterable[str]) -> None:
    """Send rows with the statement `COPY … FROM STDIN`. The rows are in COPY's text format, without line ends."""
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        remaining = iter(rows)
        while block := list(islice(remaining, BLOCK_SIZE)):
            copy.write("\n".join(block) + "\n")


def copy_row(*values: int | str) -> str:
    """Return a row in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html).

    The texts must not contain tabs, line breaks or backslashes, except COPY's own escapes such as `\\N`.
    """
    return "\t".join(map(str, values))
