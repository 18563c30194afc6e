"""The bodies of answers, put together from JSON that is ready."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping

import orjson
from django.conf import settings

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.serving.event_token import event_token
from flagsite.core.errors import FlagsiteError

STATUS_OF_ERROR: Mapping[type[FlagsiteError] | None, int] = {
    None: 200, TargetingKeyMissing: 400, UnknownHashVersion: 500,
}  # fmt: skip
"""The status of the answer about one flag, by the error with which it could not be decided."""


def event_stream_fingerprint() -> bytes:
    """A fingerprint of the settings on which an event stream's address depends."""
    return hashlib.blake2b(f"{settings.EVENTS_URL} {settings.SECRET_KEY}".encode(), digest_size=16).digest()


def bulk_body(entries: list[bytes], organization_id: int | None, event_streams: bytes) -> bytes:
    """The body of a bulk answer.

    What comes before and after the entries goes into the first and the last, so that everything is copied once only.
    """
    rest = b'"metadata":{"organizationId":%d}' % organization_id if organization_id else b'"metadata":{}'
    if event_streams:
        rest = b'%b,"eventStreams":%b' % (rest, event_streams)
    if not entries:
        return b'{"flags":[],%b}' % rest
    entries[0] = b'{"flags":[' + entries[0]
    entries[-1] += b"],%b}" % rest
    return b",".join(entries)


@functools.lru_cache(maxsize=50_000)
def event_streams(organization_id: int | None, caller_name: str) -> bytes:
    """The address at which a caller hears of an organization's changes, in JSON."""
    url = f"{settings.EVENTS_URL}/ofrep/v1/events?token={event_token(organization_id, caller_name)}"
    return bytes(memoryview(orjson.dumps([{"type": "sse", "url": url, "inactivityDelaySec": 120}])))
