"""Hearing from PostgreSQL what has changed, on a connection of its own (LISTEN).

PostgreSQL delivers what was told at each commit, in the order of the commits and never before one; what is told goes
with the commit, so neither a broker nor a dead process can lose it. Only a lost connection can: then whatever may
have been missed is read anew.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg.pq.abc import PGconn

from flags.serving.cache_events import NOTIFICATION_CHANNEL, CacheEvent, decode
from flagsite.core.adapters.django_orm import psycopg_parameters
from flagsite.core.background import BackgroundService

log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0
"""After so long a silence the connection is tried."""
PAUSES = (0.05, 0.2, 0.5, 1.0)
"""Seconds to wait before the next try to connect; the last counts for all further ones."""


class ChangeListener(BackgroundService):
    """Hands on what it hears, one piece after the other. A turn is one connection, from its start until it is lost.

    `on_event` gets each event; `on_gap` is called whenever something may have been missed, so at the start as well;
    `on_hearing` is told whether it `hears`, whenever that changes.
    """

    def __init__(
        self,
        on_event: Callable[[CacheEvent], None],
        on_gap: Callable[[], None],
        on_hearing: Callable[..., None] = lambda *, hears: None,
    ) -> None:
        super().__init__("listener")
        self._on_event = on_event
        self._on_gap = on_gap
        self._on_hearing = on_hearing
        self._ring, self._bell = socket.socketpair()
        self._ring.settimeout(0)
        self._bell.settimeout(0)
        self._asked: deque[threading.Event] = deque()
        self._tries = 0
        self.hears = False
        """Whether the connection stands; else what is known may be old."""
        self.wake()  # the first turn comes at once

    def hear_all(self, within: float) -> bool:
        """Wait until all is heard that was told before this call; False when that is not sure in so many seconds."""
        if not self.hears:
            return False
        heard = threading.Event()
        self._asked.append(heard)
        with contextlib.suppress(BlockingIOError):  # it rings already
            self._ring.send(b"?")
        return heard.wait(within)

    def stop(self, *, within: float | None = 5.0) -> None:
        """End the thread, which takes a second or so, and close what it was rung with."""
        super().stop(within=within)
        self._ring.close()
        self._bell.close()

    def turn(self) -> None:
        """Connect, and listen until the connection is lost or the service is stopped."""
        began = time.monotonic()
        try:
            self._listen()
        finally:
            self._set(hears=False)
            self._tries = 0 if time.monotonic() - began > LOOK_SECONDS else self._tries + 1

    def pause(self) -> float:
        """Return the seconds to wait before the next try to connect."""
        return PAUSES[min(self._tries, len(PAUSES) - 1)]

    def on_error(self, error: Exception) -> None:
        """Log why the connection is lost or was not made."""
        log.warning("listener_lost", error=str(error).strip())

    def _set(self, *, hears: bool) -> None:
        if hears != self.hears:
            self.hears = hears
            self._on_hearing(hears=hears)

    def _listen(self) -> None:
        parameters = {**psycopg_parameters(), "autocommit": True}
        with psycopg.connect(**parameters) as connection, selectors.DefaultSelector() as selector:
            connection.add_notify_handler(lambda notification: self._take(notification.payload))
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            connection.execute(f"LISTEN {NOTIFICATION_CHANNEL}")
            self._on_gap()
            self._set(hears=True)
            last = time.monotonic()
            while not self.must_stop():
                if selector.select(timeout=0.5) or time.monotonic() - last > LOOK_SECONDS:
                    self._hear(connection)
                    last = time.monotonic()

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Take what has come; where somebody asks, or nothing has come for long, see to it that all has come."""
        server = connection.pgconn
        server.consume_input()
        count = self._take_all(server)
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        if asked or not count:
            connection.execute("SELECT 1")  # its answer comes after all that was told before
            self._take_all(server)
        for one in asked:
            one.set()

    def _take_all(self, server: PGconn) -> int:
        count = 0
        while (notification := server.notifies()) is not None:
            self._take(notification.extra.decode())
            count += 1
        return count

    def _take(self, payload: str) -> None:
        try:
            self._on_event(decode(payload))
        except Exception:
            log.exception("news_not_understood", payload=payload[:200])
            self._on_gap()
