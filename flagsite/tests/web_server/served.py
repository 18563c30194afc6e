"""A running web server, and what tests say to it byte by byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from flagsite.tests.crash.installation import free_port, kill_session

CHECKOUT = Path(__file__).resolve().parents[3]
APPLICATION = "flagsite.tests.web_server.application:application"


class Served:
    """The port and the main process of a running web server."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self.process = process
        self.log = log

    def connect(self) -> socket.socket:
        """A new connection, whose client has patience."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def say(self, data: bytes) -> bytes:
        """Send the bytes on a new connection. Returns all that comes until the server closes it."""
        with self.connect() as connection:
            connection.sendall(data)
            return until_closed(connection)

    def get(self, path: str) -> bytes:
        """The whole answer to a GET, after which the connection is closed."""
        return self.say(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    def web_processes(self) -> list[int]:
        """The process ids of the web processes."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the other side closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def body_of(answer: bytes) -> bytes:
    """The body of an answer."""
    return answer.partition(b"\r\n\r\n")[2]


@contextmanager
def running(folder: Path, *, workers: int = 1, threads: int = 2, **environment: str) -> Iterator[Served]:
    """Run the application of the tests."""
    port, log = free_port(), folder / "web.log"
    command = [sys.executable, "-m", "flagsite.web_server", "--port", str(port), "--workers", str(workers)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--threads", str(threads), APPLICATION],
            cwd=CHECKOUT,
            env={**os.environ, "LOG_FORMAT": "json", "PYTHONPATH": str(CHECKOUT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(port, process, log)
    try:
        eventually(lambda: b"200 OK" in _tried(served))
        yield served
    finally:
        kill_session(process)


def _tried(served: Served) -> bytes:
    try:
        return served.get("/now")
    except OSError:
        return b""


def eventually(condition: Callable[[], object], within: float = 30) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
