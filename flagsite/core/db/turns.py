"""Let transactions that count the same rows, and then add one, take turns."""

from __future__ import annotations

from django.db import connection


def take_turn(name: str) -> None:
    """Wait for the other transactions that have taken a turn under this name, and let later ones wait for the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
