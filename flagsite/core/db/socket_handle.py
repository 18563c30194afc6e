"""A second handle of a connection's socket, by which another thread ends a connection that waits for an answer."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

import psycopg


class SocketHandle:
    """Whoever makes a handle closes it before the connection: until then the socket cannot become another one."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))

    def end(self) -> None:
        """End the connection: whoever waits for an answer on it gets an error at once."""
        with suppress(OSError):  # it is lost already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handle back; the connection stays as it is."""
        self._socket.close()

    def __del__(self) -> None:
        self.close()  # the connection has ended with its thread, and nobody has closed it
