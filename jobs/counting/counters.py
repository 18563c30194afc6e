"""Counters of the engine's actions that no job records, for metrics. The database adds up all processes."""

from __future__ import annotations

from django.db import connection

RESCUER_RUNS = "sweeps"
WAKE_UPS_REPEATED = "wake_ups_repeated"
ADD = """
INSERT INTO jobs_enginecount AS counter (name, value, changed_at) VALUES (%(name)s, %(more)s, statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value, changed_at = excluded.changed_at
"""


def add(name: str, more: int = 1) -> None:
    """Add `more` to the counter `name`. End the transaction soon, because other processes wait for the row."""
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"name": name, "more": more})
