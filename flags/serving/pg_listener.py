"""Hearing from PostgreSQL what has changed, on a connection of its own (LISTEN).

PostgreSQL delivers what was told at each commit, in the order of the commits and never before one; what is told goes
with the commit, so neither a broker nor a dead process can lose it. Only a connection can. Some connections are lost
without a sign, and some never hear anything, such as one through a connection pooler in transaction mode. So a new
connection first has to hear what another connection says, and each connection has to hear a heartbeat all the time. All
listeners share the heartbeat: whoever has heard none for a moment sends one. While a listener does not hear it, what is
known may be old; after a connection is lost, whatever may have been missed is read anew.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import structlog
from psycopg.pq.abc import PGconn

from flags.serving.cache_events import HEARTBEAT_CHANNEL, NOTIFICATION_CHANNEL, CacheEvent, decode
from flagsite.core.adapters.django_orm import direct_parameters, ordinary_parameters
from flagsite.core.background import BackgroundService
from flagsite.core.db.sessions import NoSession, prove_session
from flagsite.core.db.socket_handle import SocketHandle

log = structlog.get_logger(__name__)
QUIET_SECONDS = (0.4, 0.8)
"""After so long a silence a listener sends a heartbeat; by chance, so that one of many sends it for all."""
SILENT_SECONDS = 1.5
"""After so long a silence a listener no longer relies on its connection."""
LOST_SECONDS = 5.0
"""After so long a silence it ends the connection and opens a new one."""
WATCH_SECONDS = 0.25
PAUSES = (0.05, 0.2, 0.5, 1.0)
"""Seconds to wait before the next try to connect; the last counts for all further ones."""
PAUSE_WITHOUT_SESSION = 5.0
"""The same after a connection that never hears anything, as somebody has to change a setting."""


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
        self._pause = 0.0
        self._watch = _Watch(self)
        self._changing = threading.Lock()
        """Held while `hears` changes or a socket is opened or closed: the watch does so too."""
        self._handles: list[SocketHandle] = []
        self._is_proven = False
        """Whether the present connection has heard what another one said."""
        self._heard_at = self._unheard_since = time.monotonic()
        self._unheard_seconds = 0.0
        self.hears = False
        """Whether the heartbeat is heard; else what is known may be old."""
        self.why_not = "It has not connected yet."
        """Why the latest connection did not hear."""
        self.wake()  # the first turn comes at once

    def start(self) -> None:
        """Start the thread, and the one that watches it."""
        super().start()
        self._watch.start()

    def hear_all(self, within: float) -> bool:
        """Wait until all is heard that was told before this call; False when that is not sure in so many seconds."""
        if not self.hears:
            return False
        heard = threading.Event()
        self._asked.append(heard)
        with contextlib.suppress(BlockingIOError):  # it rings already
            self._ring.send(b"?")
        return heard.wait(within)

    def has_heard_within(self, seconds: float) -> bool:
        """Whether it hears, and has heard something within so many seconds."""
        return self.hears and time.monotonic() - self._heard_at < seconds

    def stop(self, *, within: float | None = 5.0) -> None:
        """End the thread, which takes a second or so, and close what it was rung with."""
        super().stop(within=within)
        self._watch.stop(within=within)
        self._ring.close()
        self._bell.close()

    def take_unheard_seconds(self) -> float:
        """For how many seconds the listener has not heard the heartbeat since the last call."""
        with self._changing:
            now = time.monotonic()
            taken = self._unheard_seconds + (0.0 if self.hears else now - self._unheard_since)
            self._unheard_seconds, self._unheard_since = 0.0, now
            return taken

    def turn(self) -> None:
        """Connect, and listen until the connection is lost or the service is stopped."""
        began = self._heard_at = time.monotonic()
        try:
            self._listen()
        finally:
            self._is_proven = False
            self._set(hears=False)
            self._tries = 0 if time.monotonic() - began > LOST_SECONDS else self._tries + 1
            self._pause = PAUSES[min(self._tries, len(PAUSES) - 1)]

    def pause(self) -> float:
        """Return the seconds to wait before the next try to connect."""
        return self._pause

    def on_error(self, error: Exception) -> None:
        """Log why the connection is lost or was not made; once for tries that end alike."""
        if isinstance(error, NoSession):
            self._pause = PAUSE_WITHOUT_SESSION
        why = f"{error} {error.advice}" if isinstance(error, NoSession) else str(error).strip()
        if why != self.why_not:
            log.warning("listener_lost", error=why)
            self.why_not = why

    def watch(self) -> None:
        """Notice a silence, also while the listener's own thread waits for an answer that may never come."""
        silence = time.monotonic() - self._heard_at
        if silence > SILENT_SECONDS and self.hears:
            self.why_not = f"The heartbeat has not been heard for {SILENT_SECONDS:g} s."
            log.warning("listener_silent", error=self.why_not)
            self._set(hears=False)
        if silence > LOST_SECONDS:
            with self._changing:
                for one in self._handles:
                    one.end()

    def _set(self, *, hears: bool) -> None:
        with self._changing:
            now = time.monotonic()
            if hears == self.hears or (hears and not self._is_proven):
                return
            if hears:
                self._unheard_seconds += now - self._unheard_since
                self.why_not = ""
            else:
                self._unheard_since = now
            self.hears = hears
            self._on_hearing(hears=hears)

    def _listen(self) -> None:
        with (
            psycopg.connect(**direct_parameters(), autocommit=True) as connection,
            selectors.DefaultSelector() as selector,
            self._watched(connection),
        ):
            connection.execute("SET idle_session_timeout = 0")
            with (
                psycopg.connect(**ordinary_parameters(), autocommit=True) as speaker,
                self._watched(speaker),
            ):
                prove_session(connection, speaker)
            connection.add_notify_handler(lambda heard: self._receive(heard.channel, heard.payload))
            for channel in (HEARTBEAT_CHANNEL, NOTIFICATION_CHANNEL):
                connection.execute(f"LISTEN {channel}")
            self._on_gap()
            self._is_proven = True
            self._heard()
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            while not self.must_stop():
                quiet = random.uniform(*QUIET_SECONDS)
                while (left := self._heard_at + quiet - time.monotonic()) > 0 and not self.must_stop():
                    if selector.select(timeout=left):
                        self._hear(connection)
                connection.execute(f"NOTIFY {HEARTBEAT_CHANNEL}")  # this connection hears it with the answer

    @contextlib.contextmanager
    def _watched(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Let the watch end the connection, whatever this thread waits for."""
        self._heard_at = time.monotonic()
        handle = SocketHandle(connection)
        with self._changing:
            self._handles.append(handle)
        try:
            yield
        finally:
            with self._changing:
                self._handles.remove(handle)
                handle.close()

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Take what has come; where somebody asks, see to it that all has come."""
        server = connection.pgconn
        server.consume_input()
        self._take_all(server)
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        if asked:
            connection.execute("SELECT 1")  # its answer comes after all that was told before
            self._take_all(server)
        for one in asked:
            one.set()

    def _take_all(self, server: PGconn) -> None:
        while (notification := server.notifies()) is not None:
            self._receive(notification.relname.decode(), notification.extra.decode())

    def _receive(self, channel: str, payload: str) -> None:
        self._heard()
        if channel != NOTIFICATION_CHANNEL:
            return
        try:
            self._on_event(decode(payload))
        except Exception:
            log.exception("news_not_understood", payload=payload[:200])
            self._on_gap()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        if not self.hears and self._is_proven:
            log.debug("listener_hears")
            self._set(hears=True)


class _Watch(BackgroundService):
    """Watches a listener from another thread."""

    def __init__(self, listener: ChangeListener) -> None:
        super().__init__("listener-watch")
        self._listener = listener

    def turn(self) -> None:
        """See whether the listener hears."""
        self._listener.watch()

    def pause(self) -> float:
        """Return WATCH_SECONDS."""
        return WATCH_SECONDS

    def on_error(self, error: Exception) -> None:
        """Log the error with its traceback."""
        log.error("listener_not_watched", exc_info=error)
