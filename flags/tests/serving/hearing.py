"""An evaluation cache that hears of all changes up to now, whenever a test says so, and without a thread."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection

from flags.serving.cache_events import NOTIFICATION_CHANNEL, decode
from flags.serving.cache_updates import apply_events_to
from flags.serving.evaluation_cache import EvaluationCache
from flags.tests.states.naive import Holds

MARK = "test_mark"


class Hearing:
    """The cache of a process that listens."""

    def __init__(self) -> None:
        self.cache = EvaluationCache()
        self._apply = apply_events_to(self.cache, lambda: None)
        parameters: dict[str, Any] = connection.get_connection_params()
        names = ("host", "port", "user", "password", "dbname")
        self._connection = psycopg.connect(
            **{name: parameters[name] for name in names if name in parameters}, autocommit=True
        )
        for channel in (NOTIFICATION_CHANNEL, MARK):
            self._connection.execute(f"LISTEN {channel}")

    def catch_up(self) -> None:
        """Apply everything that was committed before this moment: PostgreSQL delivers in the order of the commits."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [MARK])
        for heard in self._connection.notifies(timeout=60):
            if heard.channel == MARK:
                return
            self._apply(decode(heard.payload))
        raise AssertionError("the mark was not heard")

    def states(self, organization: int) -> dict[int, Holds]:
        """The values that the cache has for an organization, by flag."""
        known = self.cache.snapshot(organization).context.states
        return {flag: Holds(each.enabled, each.source_id, each.number, each.locked) for flag, each in known.items()}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
