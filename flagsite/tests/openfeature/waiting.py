"""A client that waits for server-sent events, without a client library."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Event:
    """One event as it came."""

    id: str
    data: dict[str, Any]


@dataclass
class Waiting:
    """What a connection has brought so far. `ended` is set when the server has closed it, or it broke."""

    response: httpx.Response
    ended: threading.Event = field(default_factory=threading.Event)
    _events: queue.Queue[Event] = field(default_factory=queue.Queue)

    def next(self, within: float = 5.0) -> Event:
        """The next event; raises queue.Empty when there is none in time."""
        return self._events.get(timeout=within)

    def nothing_for(self, seconds: float) -> bool:
        """Whether no event comes for so long."""
        try:
            self._events.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def take(self) -> None:
        """Read events as they come, until the connection ends."""
        event: dict[str, str] = {}
        try:
            for line in self.response.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "data" in event:
                    self._events.put(Event(event["id"], json.loads(event["data"])))
                    event = {}
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass
        finally:
            self.ended.set()


@contextmanager
def waiting_at(address: str, **headers: str) -> Iterator[Waiting]:
    """Connect, and read in a thread what comes; the first event, which everybody gets who connects, is taken."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with (
        httpx.Client(timeout=httpx.Timeout(10, read=60)) as client,
        client.stream("GET", address, headers=named) as got,
    ):
        assert got.status_code == 200, got.read()
        waiting = Waiting(got)
        reader = threading.Thread(target=waiting.take, daemon=True)
        reader.start()
        waiting.next()
        yield waiting
        got.close()
