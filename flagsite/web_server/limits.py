"""How many connections, bytes and seconds a web process gives to its clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one web process."""

    connections: int = 8192
    """Of more, the one is closed that has asked for nothing for the longest time, else the new one gets 503."""
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its headers; after that the client gets 408."""
    body_seconds: float = 30.0
    """From the headers to the end of the body, and a second more for each BODY_BYTES_PER_SECOND; then 408."""
    idle_seconds: float = 75.0
    """How long a connection stays open on which no request begins."""
    send_seconds: float = 60.0
    """How long a client may take no byte of an answer that waits for it."""
    stop_seconds: float = 15.0
    """How long requests may go on after the process is asked to stop."""
    queued_requests: int = 512
    """How many requests of each lane may wait for a thread; more get 503."""
    body_bytes: int = 32 * 2**20
    """The longest body; a longer one gets 413."""
    all_bodies_bytes: int = 256 * 2**20
    """What the bodies of all requests may take together; one that would be too much gets 503."""


BODY_BYTES_PER_SECOND = 50_000
"""How fast a body has to come after its first `body_seconds`."""
BODY_BYTES_WITHOUT_FILE = 2**18
"""A longer body is kept in a temporary file."""
LONGEST_HEAD = 2**16
LONGEST_TARGET = 2**14
LONGEST_HEADER = 2**14
MOST_HEADERS = 100
MOST_PIPELINED = 100
"""Requests that may come before the answer to an earlier one."""
