"""Running on the embedded servers: the first process that needs them starts them, the last one stops them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flagsite.development.servers import locks
from flagsite.development.servers.data_folder_layout import data_folder
from flagsite.development.servers.exit_signals import exit_signals_ignored, signals_as_exit
from flagsite.development.servers.postgres import PostgresServer
from flagsite.development.servers.server import Server
from flagsite.development.servers.valkey import ValkeyServer


def embedded_servers() -> list[Server]:
    """The embedded servers that this process needs: those whose variable (DATABASE_URL, REDIS_URL) is not set."""
    folder = data_folder()
    servers: list[Server] = [PostgresServer(folder), ValkeyServer(folder)]
    return [server for server in servers if not os.environ.get(server.url_variable)]


def require_embedded_servers() -> None:
    """Raise ServerError when this process needs an embedded server that is not installed."""
    for server in embedded_servers():
        server.package_folder()


@contextmanager
def running() -> Iterator[None]:
    """Have the embedded servers ready inside the block; afterwards stop them, unless another process uses them.

    Servers that run already stay as they are, also those that a killed process left. SIGTERM and SIGHUP end the block
    as Ctrl-C does, so that no server stays behind. Raises ServerError.
    """
    folder = data_folder()
    wanted = embedded_servers()
    with signals_as_exit():
        if not wanted:
            yield
            return
        held = locks.hold_in_use(folder)
        try:
            for server in wanted:
                server.ensure_running()
            yield
        finally:
            with exit_signals_ignored():
                held.close()
                stop_unused_servers(folder)


def stop_unused_servers(folder: Path) -> None:
    """Stop the servers of this data folder if no living process uses them."""
    with locks.start_stop_lock(folder):
        if not locks.is_in_use(folder):
            for server in (ValkeyServer(folder), PostgresServer(folder)):
                server.stop()
