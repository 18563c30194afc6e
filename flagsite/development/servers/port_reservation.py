"""Reserving the ports of an installation from their choice on: the web server binds them much later.

Another program cannot bind a reserved port. Our own web server can, because it shares ports (SO_REUSEPORT). The socket
that reserves a port does not listen, so no connection gets lost in it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from flagsite.development.servers.errors import ServerError

DEFAULT_PORT = 8000
HOST = "127.0.0.1"
HIGHEST = 65535


@dataclass(frozen=True)
class Ports:
    """Where the web server and the events process are to listen."""

    web: int
    events: int


@contextmanager
def reserve_ports(wanted: int | None) -> Iterator[Ports]:
    """Reserve the wanted port, or else 8000 or the next free one, and a higher one for events, for the whole block.

    Raises ServerError when the wanted port is not available.
    """
    with ExitStack() as reserved:
        web = reserved.enter_context(_first_free(range(DEFAULT_PORT, HIGHEST)) if wanted is None else _wanted(wanted))
        events = reserved.enter_context(_first_free(range(web.getsockname()[1] + 1, HIGHEST + 1)))
        yield Ports(web.getsockname()[1], events.getsockname()[1])


def _wanted(port: int) -> socket.socket:
    if not 0 < port < HIGHEST:
        raise ServerError(f"{port} cannot be the port; it is a number from 1 to {HIGHEST - 1}.")
    try:
        return reserve_port(port)
    except OSError as error:
        why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise ServerError(f"Port {port} {why}. Choose another with --port.") from None


def _first_free(ports: Iterable[int]) -> socket.socket:
    for port in ports:
        try:
            return reserve_port(port)
        except OSError:
            continue
    raise ServerError("No port is free. Choose a lower one with --port.")


def reserve_port(port: int) -> socket.socket:
    """A socket that reserves the port until it is closed. Raises OSError when any other process has the port."""
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last user has just gone is free
        first.bind((HOST, port))
        first.listen(1)  # of two that were bound at the same moment the kernel lets no more than one listen
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation = socket.socket()
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # without SO_REUSEADDR: others' binding fails
        try:
            reservation.bind((HOST, port))
        except OSError:
            reservation.close()
            raise
        return reservation
