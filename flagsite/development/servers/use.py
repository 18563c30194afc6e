"""Who uses the embedded servers: the first starts them, the last stops them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flagsite.development.servers import locks
from flagsite.development.servers.base import Server
from flagsite.development.servers.locations import data_folder
from flagsite.development.servers.postgres import PostgresServer
from flagsite.development.servers.signals import signals_as_exit, undisturbed
from flagsite.development.servers.valkey import ValkeyServer


def embedded() -> list[Server]:
    """The servers that we must bring ourselves, because no URL names another."""
    folder = data_folder()
    servers: list[tuple[str, Server]] = [("DATABASE_URL", PostgresServer(folder)), ("REDIS_URL", ValkeyServer(folder))]
    return [server for variable, server in servers if not os.environ.get(variable)]


@contextmanager
def running() -> Iterator[None]:
    """Have the embedded servers ready inside; afterwards stop them, unless another process uses them too.

    Servers that run already, also those of a process that was killed, are used as they are. SIGTERM and SIGHUP end
    the block as Ctrl-C does, so that nothing stays behind. Raises ServerError.
    """
    folder = data_folder()
    wanted = embedded()
    with signals_as_exit():
        if not wanted:
            yield
            return
        held = locks.use(folder)
        try:
            for server in wanted:
                server.bring_up()
            yield
        finally:
            with undisturbed():
                held.close()
                stop_unused(folder)


def stop_unused(folder: Path) -> None:
    """Stop the servers of a data folder if no living process uses them."""
    with locks.locked(folder):
        if not locks.is_used(folder):
            for server in (ValkeyServer(folder), PostgresServer(folder)):
                server.stop()
