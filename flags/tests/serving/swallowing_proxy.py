"""A proxy in front of PostgreSQL that can swallow everything without closing a connection, as some firewalls do.

It can be a black hole too: nothing comes through, on no connection, until it is told to let everything through again.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self

Address = str | tuple[str, int]


class SwallowingProxy:
    """Listens on 127.0.0.1, and hands bytes on until it is told to swallow those of all present connections."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._swallowed: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._is_over = False
        self._is_open = threading.Event()
        self._is_open.set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        for one in [self._listener, *self._peers]:
            one.close()

    def swallow(self, *, only_from_clients: bool = False) -> None:
        """Hand on nothing more of the connections that there are; later ones are not concerned."""
        self._swallowed |= self._clients if only_from_clients else set(self._peers)

    def hold_back(self) -> None:
        """Hand on nothing and accept nobody, as if all packets were lost; new connections wait for an answer too."""
        self._is_open.clear()

    def let_through(self) -> None:
        """Hand on again, also what was held back, as it would be sent again after a loss."""
        self._is_open.set()

    def _run(self) -> None:
        while not self._is_over:
            if not self._is_open.wait(timeout=0.1):
                continue
            for key, _ in self._selector.select(timeout=0.1):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._hand_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
        server.connect(self._server)
        self._clients.add(client)
        self._peers |= {client: server, server: client}
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _hand_on(self, one: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(65536)
        if not data:
            self._selector.unregister(one)
        if one in self._swallowed:
            return
        with contextlib.suppress(OSError):
            if data:
                self._peers[one].sendall(data)
            else:
                self._peers[one].shutdown(socket.SHUT_WR)
