"""The main process of the web server, which keeps web processes running."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

log = structlog.get_logger(__name__)
BACKLOG = 4096
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds before a web process is started again that ended soon after its start; the first time without a pause."""
STEADY_SECONDS = 10.0
"""A process that ran so long was well."""
KILL_SECONDS = 20.0
"""How long a process may take to stop."""
TURN_SECONDS = 0.2
FORMER_SECONDS = 3.0
"""How long a former server may still listen."""


@dataclass
class Place:
    """One of the web processes that there are to be: the process that runs now, and when the next one starts."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    ready: int = -1
    """The pipe on which it says that it is ready; -1 once it has."""
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = 0.0
    replaced: subprocess.Popen[bytes] | None = None
    """The process before, until this one is ready."""


class MainProcess:
    """Keeps `count` web processes running until it is told to stop."""

    def __init__(self, listener: socket.socket, *, count: int, arguments: list[str]) -> None:
        self._listener = listener
        self._arguments = arguments
        self._places = [Place(number) for number in range(1, count + 1)]
        self._stopping: list[tuple[float, subprocess.Popen[bytes]]] = []
        """Processes that are told to stop, and when they are killed."""
        self._alive_read, self._alive_write = os.pipe()
        """Nobody writes to it: the processes read its end when this process is gone."""
        self._signals: list[int] = []
        self._has_served = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT comes. Returns the exit status.

        Before the first process is ready, the end of one ends the server, because the next would end as well.
        """
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, _: self._signals.append(number))
        host, port = self._listener.getsockname()[:2]
        log.info("web_server_listening", address=f"http://{host}:{port}", application=self._arguments[-1])
        selector = selectors.DefaultSelector()
        selector.register(wake_read, selectors.EVENT_READ)
        status: int | None = None
        while status is None:
            status = self._turn()
            if status is None:
                selector.select(TURN_SECONDS)
                with suppress(BlockingIOError):
                    os.read(wake_read, 4096)
        self._listener.close()
        self._stop_all()
        return status

    def _turn(self) -> int | None:
        signals, self._signals = self._signals, []
        if signal.SIGTERM in signals or signal.SIGINT in signals:
            return 0
        if signal.SIGHUP in signals:
            self._replace_all()
        for place in self._places:
            self._hear_ready(place)
            status = self._look_after(place)
            if status is not None:
                return status
        self._kill_late()
        return None

    def _look_after(self, place: Place) -> int | None:
        """Start the process if there is none. Returns an exit status where there is no use in that."""
        now = time.monotonic()
        if place.process is not None:
            status = place.process.poll()
            if status is None:
                return None
            if not self._has_served:
                return status if status > 0 else 1
            if now - place.started_at >= STEADY_SECONDS:
                place.pause = 0.0
            place.start_at = now + place.pause
            log.error(
                "web_process_ended", number=place.number, pid=place.process.pid, exitStatus=status,
                seconds=round(place.pause, 1),
            )  # fmt: skip
            place.pause = min(max(SHORTEST_PAUSE, place.pause * 2), LONGEST_PAUSE)
            self._forget(place)
        if now >= place.start_at:
            self._start(place)
        return None

    def _start(self, place: Place) -> None:
        ready_read, ready_write = os.pipe()
        os.set_blocking(ready_read, False)
        inherited = (self._listener.fileno(), self._alive_read, ready_write)
        names = [f"--{name}={number}" for name, number in zip(("listener", "main", "ready"), inherited, strict=True)]
        command = [sys.executable, "-m", "flagsite.web_server.process_main", *names, *self._arguments]
        try:
            place.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited)
        except OSError as error:  # no memory for another process, for example
            log.error("web_process_not_started", number=place.number, error=str(error))  # noqa: TRY400
            os.close(ready_read)
            place.pause = min(max(SHORTEST_PAUSE, place.pause * 2), LONGEST_PAUSE)
            place.start_at = time.monotonic() + place.pause
            return
        finally:
            os.close(ready_write)
        place.ready = ready_read
        place.started_at = time.monotonic()

    def _hear_ready(self, place: Place) -> None:
        if place.ready < 0:
            return
        try:
            said = os.read(place.ready, 1)
        except BlockingIOError:
            return
        os.close(place.ready)
        place.ready = -1
        if said:
            self._has_served = True
            self._stop_replaced(place)

    def _replace_all(self) -> None:
        """Start a new process in each place; the old ones stop when the new ones are ready."""
        for place in self._places:
            self._stop_replaced(place)
            place.replaced = place.process
            self._forget(place)
            place.start_at = place.pause = 0.0

    def _stop_replaced(self, place: Place) -> None:
        if place.replaced is not None:
            self._ask_to_stop(place.replaced)
            place.replaced = None

    def _forget(self, place: Place) -> None:
        place.process = None
        if place.ready >= 0:
            os.close(place.ready)
            place.ready = -1

    def _ask_to_stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        self._stopping.append((time.monotonic() + KILL_SECONDS, process))

    def _kill_late(self) -> None:
        for at, process in self._stopping:
            if process.poll() is None and time.monotonic() > at:
                process.kill()
        self._stopping = [(at, process) for at, process in self._stopping if process.poll() is None]

    def _stop_all(self) -> None:
        for place in self._places:
            for process in (place.process, place.replaced):
                if process is not None:
                    self._ask_to_stop(process)
        while self._stopping:
            self._kill_late()
            time.sleep(0.02)


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens at this address. Raises OSError where that is not possible.

    Web processes share it. A connection that a process has not accepted when it ends goes to another one. A reserved
    port can be bound a second time, so this function itself refuses a port on which another server listens.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    end = time.monotonic() + FORMER_SECONDS
    while _somebody_listens(family, address):
        if time.monotonic() > end:
            raise OSError(errno.EADDRINUSE, "another server listens there")
        time.sleep(TURN_SECONDS)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # with a reservation of this port
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _somebody_listens(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        is_connected = client.connect_ex(address) == 0
        return is_connected and client.getsockname() != client.getpeername()  # not with itself, which Linux allows
