"""An HTTP client that keeps connections busy at little cost, so that a benchmark measures the server."""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Run:
    """The result of a run: its duration, the milliseconds of each answer, the count of each status, the last answer."""

    seconds: float
    milliseconds: list[float]
    statuses: dict[int, int]
    last: bytes

    @property
    def per_second(self) -> float:
        """The number of answers in a second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """The milliseconds within which a share of the requests, such as 0.99, was answered."""
        return sorted(self.milliseconds)[int(len(self.milliseconds) * share)]


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def yield_to_other_threads() -> None:
    """Let this thread wait for a free processor when it wakes up, so that it interrupts no server."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def post(port: int, path: str, key: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def run(port: int, requests: Iterator[bytes], *, connections: int = 8) -> Run:
    """Send all requests over `connections` connections. Each connection waits for an answer before its next request."""
    selector = selectors.DefaultSelector()
    times: list[float] = []
    statuses: dict[int, int] = {}
    began, last, open_connections = time.perf_counter(), b"", 0
    for _, request in zip(range(connections), requests, strict=False):  # takes no request that it does not send
        connection = _Connection(socket.create_connection(("127.0.0.1", port)))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        open_connections += 1
        connection.sent = time.perf_counter()
        connection.socket.sendall(request)
    while open_connections:
        for event, _ in selector.select():
            connection = event.data
            connection.received += connection.socket.recv(262_144)
            answer = complete_answer(connection.received)
            if answer is None:
                continue
            now = time.perf_counter()
            times.append((now - connection.sent) * 1000)
            status = int(connection.received[9:12])
            statuses[status] = statuses.get(status, 0) + 1
            last = answer
            connection.received.clear()
            request = next(requests, b"")
            if not request:
                selector.unregister(connection.socket)
                connection.socket.close()
                open_connections -= 1
                continue
            connection.sent = time.perf_counter()
            connection.socket.sendall(request)
    return Run(time.perf_counter() - began, times, statuses, last)


def complete_answer(received: bytearray) -> bytes | None:
    """The answer if it is complete, otherwise None."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    start = head.find(b"content-length: ")
    length = int(head[start + 16 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
    return bytes(received) if len(received) >= end + 4 + length else None
