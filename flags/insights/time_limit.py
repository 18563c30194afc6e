"""Queries that count many rows while a person waits: they end after a few seconds, with no result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

COUNT_SECONDS = 4.0
"""The time limit for a query, because a person waits for the result."""


def rows_in_time(sql: str, parameters: dict[str, Any], *, seconds: float | None = None) -> list[Any] | None:
    """Return the rows of the query, or None if it takes longer than this number of seconds, or COUNT_SECONDS."""
    try:
        with _time_limit(COUNT_SECONDS if seconds is None else seconds), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL jit = off; SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
        yield
        with connection.cursor() as cursor:  # an outer transaction continues without the limit
            cursor.execute("SET LOCAL jit TO DEFAULT; SET LOCAL statement_timeout TO DEFAULT")
