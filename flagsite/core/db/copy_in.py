"""Sending many rows to PostgreSQL by COPY, block by block."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.db import connection

BLOCK = 10_000
"""Rows that are formatted or parsed at a time."""


def copy_in(statement: str, rows: Iterable[str]) -> None:
    """Send rows by the statement `COPY … FROM STDIN`, in COPY's text format, each without the end of its line."""
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        remaining = iter(rows)
        while block := list(islice(remaining, BLOCK)):
            copy.write("\n".join(block) + "\n")


def copy_row(*values: int | str) -> str:
    """A row in COPY's text format.

    The texts have no tabs and no line breaks, and no backslashes apart from those of COPY's escapes.
    """
    return "\t".join(map(str, values))
