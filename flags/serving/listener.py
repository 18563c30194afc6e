"""Hearing from PostgreSQL what has changed, on a connection of its own (LISTEN).

PostgreSQL delivers what was told at each commit, in the order of the commits and never before one; what is told goes
with the commit, so neither a broker nor a dead process can lose it. Only a lost connection can: then whatever may
have been missed is read anew.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from django.db import connections

from flags.evaluation import State
from flags.serving.feed import KeyChanged, Moved, Written
from flags.writing import CHANNEL

log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0
"""After so long a silence the connection is tried."""
PAUSES = (0.05, 0.2, 0.5, 1.0)
"""Seconds to wait before the next try to connect; the last counts for all further ones."""

News = Written | Moved | KeyChanged | str
"""What is heard: written states, a moved organization, a changed key, or the word for all of a kind (definitions, keys,
tree)."""


def read(payload: str) -> News:
    """What a notification says. Raises ValueError for one that makes no sense."""
    message: dict[str, Any] = json.loads(payload)
    if "states" in message:
        root_id, after, last, *state = message["states"]
        return Written(root_id, after, last, State(*state))
    if "organization" in message:
        return Moved(message["organization"])
    if "key" in message:
        return KeyChanged(message["key"])
    return str(next(iter(message)))


class Listener:
    """A thread that hands on what it hears, one piece after the other.

    `on_news` gets each piece; `on_gap` is called whenever something may have been missed, so at the start as well.
    """

    def __init__(self, on_news: Callable[[News], None], on_gap: Callable[[], None]) -> None:
        self._on_news = on_news
        self._on_gap = on_gap
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self.hears = False
        """Whether the connection stands; else what is known may be old."""

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within a second or so."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listener_lost", error=str(error).strip())
            self.hears = False
            tries = 0 if time.monotonic() - began > LOOK_SECONDS else tries + 1
            self._stopping.wait(PAUSES[min(tries, len(PAUSES) - 1)])

    def _listen(self) -> None:
        parameters = connections["default"].get_connection_params()
        parameters.pop("cursor_factory", None)
        parameters.pop("context", None)
        with psycopg.connect(**parameters | {"autocommit": True, "connect_timeout": 5}) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._on_gap()
            self.hears = True
            last = time.monotonic()
            while not self._stopping.is_set():
                for notification in connection.notifies(timeout=0.5):
                    self._take(notification.payload)
                    last = time.monotonic()
                if time.monotonic() - last > LOOK_SECONDS:
                    connection.execute("SELECT 1")
                    last = time.monotonic()

    def _take(self, payload: str) -> None:
        try:
            self._on_news(read(payload))
        except Exception:
            log.exception("news_not_understood", payload=payload[:200])
            self._on_gap()
