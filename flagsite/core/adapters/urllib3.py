"""urllib3: a time limit for a whole request, however slowly the server sends.

Why: the time-outs of urllib3 hold for each read from the network. A server that sends a byte now and then, or that says
“100 Continue” for ever, would keep the process that waits for it.

Private names: `HTTPConnection._new_conn`.

At an upgrade check: `connect` of both classes of connections gets its socket from `_new_conn`, before the handshake of
TLS, and reads from this socket only. A pool makes its connections with `ConnectionCls`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any, Self

DISTRIBUTION = "urllib3"
CHECKED_VERSION = "2.8.0"


class Deadline:
    """Ends the connections of one request after some seconds. Use it as a context manager around the request."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.has_passed = False
        """Whether the time is over, so that what was read may lack its end."""

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def limit(self, pool: Any) -> None:
        """Let each new connection of this pool end with the deadline."""
        deadline, plain = self, pool.ConnectionCls

        class Limited(plain):  # type: ignore[misc, valid-type]
            def _new_conn(self) -> socket.socket:
                connected: socket.socket = super()._new_conn()
                deadline.watch(connected)
                return connected

        pool.ConnectionCls = Limited

    def watch(self, connected: socket.socket) -> None:
        """End this connection with the deadline. TLS takes the socket over, so a copy of its handle is kept."""
        with self._lock:
            self._sockets.append(connected.dup())
            if self.has_passed:
                self._shut_down()

    def _end(self) -> None:
        with self._lock:
            self.has_passed = True
            self._shut_down()

    def _shut_down(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):  # the server has ended it already
                one.shutdown(socket.SHUT_RDWR)
