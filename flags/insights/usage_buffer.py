"""The usage buffer: two hashes in the Redis-protocol server, to which all processes add their counts.

Every process calls `add` each FLAG_USAGE_SECONDS, and one worker calls `taken` each minute. If the server does not
answer within TIMEOUT_SECONDS, the process keeps its counts and tries again later.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import LockError
from redis.retry import Retry

Pair = tuple[int | None, str | None]
"""An organization's id, None for an evaluation without one; a flag's key, None for an evaluation of all flags."""
OTHER_ENVIRONMENTS = "*"
"""Stands for all environments that are not counted by their names."""
MAX_PAIRS = 500_000
"""The capacity of the buffer. While it is full, processes keep their counts."""
TIMEOUT_SECONDS = 0.5
MOVE_TIMEOUT_SECONDS = 300
BATCH_SIZE = 1000
COUNTS, TIMES = "flagsite:usage:counts", "flagsite:usage:times"
MOVING_COUNTS, MOVING_TIMES = "flagsite:usage:moving-counts", "flagsite:usage:moving-times"
MOVER = "flagsite:usage:mover"
ADD = """
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return 0 end
local now = redis.call('TIME')[1]
for i = 2, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    redis.call('HSET', KEYS[2], ARGV[i], now)
end
return 1
"""
SET_ASIDE = """
if redis.call('EXISTS', KEYS[3]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('RENAME', KEYS[1], KEYS[3])
    redis.call('RENAME', KEYS[2], KEYS[4])
end
return redis.call('HLEN', KEYS[3])
"""


def of_environment(name: str) -> Pair:
    """Return the pair under which the evaluations of an environment are buffered. No flag has such a key."""
    return None, f"@{name}"


@dataclass(frozen=True, slots=True)
class BufferedUsage:
    """Evaluations of one pair: how many, and the time of the last in seconds since 1970 by the server's clock.

    With an `environment`, they are all evaluations in this environment, which are among those of the pairs too.
    """

    organization_id: int | None
    flag_key: str | None
    evaluations: int
    at: int
    environment: str | None = None


class BufferFull(Exception):
    """The usage buffer is full: no worker has moved its content into the database for a while."""


def add(counts: Mapping[Pair, int]) -> Iterator[list[Pair]]:
    """Add evaluations to the buffer, BATCH_SIZE pairs at a time. Yields the pairs that the buffer has accepted.

    Raises RedisError, OSError or BufferFull; the caller keeps the pairs that were not yielded. Evaluations count twice
    only if the server's answer is lost on the way.
    """
    pairs = iter(counts.items())
    while part := list(islice(pairs, BATCH_SIZE)):
        arguments: list[str | int] = [MAX_PAIRS]
        for (organization_id, flag_key), count in part:
            arguments += (f"{organization_id or ''}:{flag_key or ''}", count)
        if not client().eval(ADD, 2, COUNTS, TIMES, *arguments):
            raise BufferFull
        yield [pair for pair, _ in part]


@contextmanager
def taken() -> Iterator[list[BufferedUsage]]:
    """Yield the content of the buffer, and delete it from the buffer if the block ends without an error.

    One process at a time gets the content; other processes get an empty list. Raises RedisError.
    """
    server = client()
    lock = server.lock(MOVER, timeout=MOVE_TIMEOUT_SECONDS)
    if not lock.acquire(blocking=False):
        yield []
        return
    try:
        uses = []
        if server.eval(SET_ASIDE, 4, COUNTS, TIMES, MOVING_COUNTS, MOVING_TIMES):
            times = server.hgetall(MOVING_TIMES)
            uses = [_use(field, count, times.get(field)) for field, count in server.hgetall(MOVING_COUNTS).items()]
        yield uses
        server.delete(MOVING_COUNTS, MOVING_TIMES)
    finally:
        with suppress(LockError):  # the lock has expired after MOVE_TIMEOUT_SECONDS
            lock.release()


def client() -> Redis:
    """Return this process's client, which connects when it is first used."""
    return _client(settings.REDIS_URL)


@functools.cache
def _client(url: str) -> Redis:
    return Redis.from_url(
        url, decode_responses=True, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def _use(field: Any, count: Any, at: Any) -> BufferedUsage:
    organization, _, flag_key = field.partition(":")
    if flag_key.startswith("@"):
        return BufferedUsage(None, None, int(count), int(at or 0), environment=flag_key[1:])
    return BufferedUsage(int(organization) if organization else None, flag_key or None, int(count), int(at or 0))
