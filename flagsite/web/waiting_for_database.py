"""How long requests of a web or events process wait for the database: the process's database watch."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from django.conf import settings

from flags.serving.pg_listener import ChangeListener
from flagsite.core.adapters.django_orm import ordinary_parameters
from flagsite.core.db import database_watch
from flagsite.core.db.database_watch import GIVE_UP_SECONDS, Connection, DatabaseWatch

HEARD_SECONDS = 1.0
"""A listener that has heard something within so long hears: a heartbeat comes every 0.8 s."""


def watch_database(listener: ChangeListener, on_answer: Callable[[], None] = lambda: None) -> None:
    """Let no request of this process wait for a database that is silent.

    Args:
        listener: the listener of this process.
        on_answer: the watch calls this when the database is silent no longer.
    """
    watch = DatabaseWatch(
        ask=_connect,
        heard=lambda: listener.has_heard_within(HEARD_SECONDS),
        is_heard_on_same_way=settings.DATABASE_DIRECT is None,
        on_answer=on_answer,
    )
    database_watch.start(watch)


def _connect() -> Connection:
    return psycopg.connect(**{**ordinary_parameters(), "connect_timeout": GIVE_UP_SECONDS}, autocommit=True)
