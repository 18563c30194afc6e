"""The one clock: the database's."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """What the database's clock shows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
