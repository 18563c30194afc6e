"""A database that fails, as a test's own connection sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def failing_queries(error: Exception, *, times: int | None = None) -> Iterator[None]:
    """While it lasts, queries raise `error`: all of them, or so many and no more, which must then have come."""
    left = [times]

    def query(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if left[0] is None:
            raise error
        if left[0]:
            left[0] -= 1
            raise error
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(query):
        yield
    assert not left[0], f"{left[0]} of {times} queries that should fail were not sent"
