"""The clock of the database, which all processes share."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Return the current time of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
