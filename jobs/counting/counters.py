"""Counts of what the engine does beside jobs, for metrics: over all processes and machines, in the database."""

from __future__ import annotations

from django.db import connection

RESCUER_RUNS = "sweeps"
WAKE_UPS_REPEATED = "wake_ups_repeated"
ADD = """
INSERT INTO jobs_enginecount AS had (name, value, changed_at) VALUES (%(name)s, %(more)s, statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET value = had.value + excluded.value, changed_at = excluded.changed_at
"""


def add(name: str, more: int = 1) -> None:
    """Add to the count of that name. The caller's transaction has to end soon: other processes wait for the row."""
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"name": name, "more": more})
