"""A whole installation on this machine, for bin/demo and bin/dev: web, events, worker and beat, with one log."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psutil
from rich.console import Console

from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.data_folder_layout import data_folder
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.port_reservation import HOST, Ports
from flagsite.development.servers.supervisor import Supervisor, installation_processes

PATIENCE = 60.0  # seconds until the web server has to answer


@contextmanager
def installation_running(
    ports: Ports, console: Console, *, code_changed: Callable[[], bool] = lambda: False
) -> Iterator[CombinedLog]:
    """Run web, events, worker and beat inside the block, which begins when the web server answers; then stop all.

    Use it inside `only_supervisor` and `reserve_ports`. `code_changed` says whether the processes are to take over
    changed code. Raises ServerError when they do not come up.
    """
    folder = data_folder()
    log = CombinedLog(folder / "flagsite.log", console)
    os.environ.setdefault("SITE_URL", f"http://{HOST}:{ports.web}")
    os.environ.setdefault("EVENTS_URL", f"http://{HOST}:{ports.events}")
    processes = installation_processes(ports.web, ports.events)
    supervisor = Supervisor(processes, folder=folder, log=log, code_changed=code_changed)
    try:
        with supervisor.running():
            _await_answer(ports.web, supervisor)
            yield log
    finally:
        log.close()


def _await_answer(port: int, supervisor: Supervisor) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if failed := supervisor.failed():
            raise ServerError(f"{failed} does not stay up; it says:\n{supervisor.log.last_lines(failed)}")
        if our_process_answers(port):
            return
        time.sleep(0.1)
    raise ServerError(f"web does not answer after {PATIENCE:.0f} s; it says:\n{supervisor.log.last_lines('web')}")


def our_process_answers(port: int) -> bool:
    """Whether the port answers, and the answer comes from a process that this process started."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.connect()
        our_end = connection.sock.getsockname()[1]
        connection.request("GET", "/docs")
        response = connection.getresponse()
        is_ours = any(_is_connected_to(our_end, child) for child in psutil.Process().children(recursive=True))
        response.read()  # only now: the other side may close the connection after it
        return is_ours
    return False


def _is_connected_to(port: int, process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(one.raddr and one.raddr.port == port for one in process.net_connections("tcp4"))
    return False
