"""The connection to the mail server between two messages of a process.

To open a connection takes longer than to send a message, above all with TLS and a password. So a process keeps the
connection for some seconds, and sends its next message through it. Nobody else uses it meanwhile.
"""

from __future__ import annotations

import os
import smtplib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

IDLE_SECONDS = 2.0
"""How long a connection waits for the next message."""
OK = 250


@dataclass(frozen=True, slots=True)
class _Kept:
    key: object
    client: smtplib.SMTP
    since: float


class KeptConnection:
    """At most one open connection, which a timer closes if nobody takes it. Threads may use it; a fork forgets it."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Start empty. A forked child must not use the connection, and has no timer."""
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._has_timer = False

    def take(self, key: object) -> smtplib.SMTP | None:
        """Return the connection for this key, if there is one and its server still answers."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept.key == key:
            with suppress(smtplib.SMTPException, OSError):
                if kept.client.noop()[0] == OK:
                    return kept.client
        _quit(kept.client)
        return None

    def keep(self, key: object, client: smtplib.SMTP) -> None:
        """Keep the connection for the next message to the same server, in the place of an older one."""
        with self._lock:
            older, self._kept = self._kept, _Kept(key, client, time.monotonic())
            needs_timer, self._has_timer = not self._has_timer, True
        if older is not None:
            _quit(older.client)
        if needs_timer:
            self._start_timer(IDLE_SECONDS)

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            _quit(kept.client)

    def _start_timer(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._close_if_idle)
        timer.daemon = True
        timer.start()

    def _close_if_idle(self) -> None:
        with self._lock:
            kept = self._kept
            left = kept.since + IDLE_SECONDS - time.monotonic() if kept is not None else 0.0
            if left <= 0:
                self._kept, self._has_timer = None, False
        if left > 0:
            self._start_timer(left)
        elif kept is not None:
            _quit(kept.client)


def _quit(client: smtplib.SMTP) -> None:
    """Say goodbye, and close the connection whatever the server answers."""
    with suppress(smtplib.SMTPException, OSError):
        client.quit()
    client.close()
