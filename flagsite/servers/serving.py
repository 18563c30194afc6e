"""Web, events, worker and beat, with the embedded servers and one log: what bin/demo and bin/dev share."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

from flagsite.servers.errors import ServerError
from flagsite.servers.locations import data_folder
from flagsite.servers.log import OneLog
from flagsite.servers.processes import Supervisor, our_processes

DEFAULT_PORT = 8000
PATIENCE = 60.0  # seconds until the web server has to answer


def choose_port(wanted: int | None) -> int:
    """The wanted port, or else 8000, or the next free one. Raises ServerError when the wanted one is taken."""
    if wanted is not None:
        if not _is_free(wanted):
            raise ServerError(f"Port {wanted} is taken by another program. Choose another with --port.")
        return wanted
    return _free_from(DEFAULT_PORT)


@contextmanager
def serving(port: int, console: Console, *, code_changed: Callable[[], bool] = lambda: False) -> Iterator[OneLog]:
    """Have web, events, worker and beat run inside, the web server answering; none of them is left afterwards.

    To be used inside `alone`. Raises ServerError when they do not come up.
    """
    folder = data_folder()
    log = OneLog(folder / "flagsite.log", console)
    events_port = _free_from(port + 1)
    os.environ.setdefault("EVENTS_URL", f"http://127.0.0.1:{events_port}")
    supervisor = Supervisor(our_processes(port, events_port), folder=folder, log=log, code_changed=code_changed)
    try:
        with supervisor.running():
            _await_answer(port, supervisor)
            yield log
    finally:
        log.close()


def _await_answer(port: int, supervisor: Supervisor) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if failed := supervisor.failed():
            raise ServerError(f"{failed} does not stay up; it says:\n{supervisor.log.last_lines(failed)}")
        if _answers(port):
            return
        time.sleep(0.1)
    raise ServerError(f"web does not answer after {PATIENCE:.0f} s; it says:\n{supervisor.log.last_lines('web')}")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/docs")
        connection.getresponse().read()
        return True
    connection.close()
    return False


def _free_from(first: int) -> int:
    return next(port for port in range(first, 65536) if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last user has just gone is free
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
