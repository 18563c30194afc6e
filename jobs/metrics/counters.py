"""Counting what the engine does beside jobs, for metrics: over all processes and machines, in the database."""

from __future__ import annotations

from django.db import connection

SWEEPS = "sweeps"
WAKE_UPS_REPEATED = "wake_ups_repeated"
ADD = """
INSERT INTO jobs_enginecount AS had (name, value, changed_at) VALUES (%(name)s, %(more)s, statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET value = had.value + excluded.value, changed_at = excluded.changed_at
"""


def add(name: str, more: int = 1) -> None:
    """Count; the caller's transaction ends soon, since others wait for the row."""
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"name": name, "more": more})
