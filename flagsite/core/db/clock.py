"""The clock of the database, which all processes share."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


def now() -> datetime:
    """Return the current time of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


class ClockTimestamp(Func):
    """The time at which PostgreSQL computes it.

    `Now` is the begin of the transaction, which may have waited for a lock since.
    """

    function = "clock_timestamp"
    output_field = DateTimeField()
