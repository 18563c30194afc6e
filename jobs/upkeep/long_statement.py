"""A connection for statements that take long and cannot run in a transaction, such as VACUUM."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from flagsite.core.adapters.django_orm import direct_parameters
from jobs.engine.run import Run

CHECK_SECONDS = 1.0
"""How often a job looks, during a statement, whether it should still run."""
LOCK_SECONDS = 600
"""A statement that waits longer for other transactions fails, so that one forgotten transaction does not stop all."""
# Long statements are meant to be slow: between pages they pause, as autovacuum does, so that others are not delayed.
SESSION = f"""
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '{LOCK_SECONDS}s';
SET vacuum_cost_delay = '2ms'; SET application_name = 'flagsite maintenance'
"""


@contextmanager
def own_session() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection in autocommit mode, past a connection pooler, on which statements have no time-out."""
    with psycopg.connect(**{**direct_parameters(), "autocommit": True}) as session:
        session.execute(SESSION)
        yield session


def execute(run: Run, session: psycopg.Connection[Any], statement: sql.Composed) -> None:
    """Execute a statement, and cancel it if the job is cancelled, loses its lease, or the worker has to stop.

    Another thread waits for the statement, so that this thread can look after the job. Raises what `Run.check` raises,
    and errors of psycopg.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="long-statement") as executor:
        execution = executor.submit(session.execute, statement)
        try:
            while not execution.done():
                wait([execution], timeout=CHECK_SECONDS)
                run.reload()
                run.check()
        except BaseException:
            session.cancel_safe()
            raise
        execution.result()
