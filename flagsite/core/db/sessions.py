"""Whether a connection keeps its session of PostgreSQL, and words for one that does not.

LISTEN and session locks belong to a session. A connection pooler in transaction mode gives a connection another session
for each transaction: the commands succeed, but the connection hears nothing, and the lock is someone else's.
"""

from __future__ import annotations

import selectors
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
from django.conf import settings
from psycopg.pq.abc import PGconn

PROOF_CHANNEL = "flagsite_proof"
PROOF_SECONDS = 2.0
"""For so long a connection waits for what another connection says."""
SET_DIRECT_URL = (
    "Set DATABASE_DIRECT_URL to the address of PostgreSQL itself, past the pooler, or run the pooler in session mode."
)


class NoSession(Exception):
    """The connection does not hear what other connections say. The message says why, `advice` what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def prove_session(session: psycopg.Connection[Any], speaker: psycopg.Connection[Any]) -> float:
    """Prove that `session` hears what `speaker` says, a connection to DATABASE_URL; returns how many seconds it took.

    Raises NoSession, and errors of psycopg.
    """
    token = uuid4().hex
    session.execute(f"LISTEN {PROOF_CHANNEL}")
    began = time.monotonic()
    speaker.execute("SELECT pg_notify(%s, %s)", [PROOF_CHANNEL, token])
    if not _hears(session.pgconn, token):
        raise _no_session(session)
    seconds = time.monotonic() - began
    session.execute(f"UNLISTEN {PROOF_CHANNEL}")
    return seconds


def has_pooler(session: psycopg.Connection[Any]) -> bool:
    """Whether something between the connection and PostgreSQL answers in its place, such as a connection pooler."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != session.info.backend_pid


def _hears(server: PGconn, token: str) -> bool:
    end = time.monotonic() + PROOF_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(server.socket, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if selector.select(left):
                server.consume_input()
            while (notification := server.notifies()) is not None:
                if notification.extra.decode() == token:
                    return True
    return False


def _no_session(session: psycopg.Connection[Any]) -> NoSession:
    pooled = False
    with suppress(psycopg.Error):
        pooled = has_pooler(session)
    name = "DATABASE_DIRECT_URL" if settings.DATABASE_DIRECT else "DATABASE_URL"
    if pooled:
        message = f"{name} leads to a connection pooler in transaction mode, so no change notifications arrive."
        return NoSession(message, SET_DIRECT_URL)
    if settings.DATABASE_DIRECT:
        return NoSession(
            "What is written by DATABASE_URL is not heard by DATABASE_DIRECT_URL.",
            "Let both lead to the same database of the same server.",
        )
    return NoSession(
        f"Change notifications do not arrive within {PROOF_SECONDS:g} s.",
        "Look for a proxy or firewall between this machine and PostgreSQL, and at the load of PostgreSQL.",
    )
