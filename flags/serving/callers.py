"""Whose access key it is, remembered for a while, so that a read does not ask the database for it."""

from __future__ import annotations

import hashlib
import time

from django.db import Error

from orgs.access import Caller
from orgs.authentication import caller_with

SURE_SECONDS = 10.0
"""A key that is no longer valid because its time has come may go on for so long; one that is revoked does not."""
MOST = 10_000


class Callers:
    """Callers by their keys, of which only a hash is held."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Caller | None]] = {}

    def caller_with(self, key: str) -> Caller | None:
        """Whom the key belongs to; None for one that is not valid.

        While the database is away a key that was valid is believed. Raises a database error for one that isn't known.
        """
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        found = self._known.get(digest)
        now = time.monotonic()
        if found is not None and now - found[0] < SURE_SECONDS:
            return found[1]
        try:
            caller = caller_with(key)
        except Error:
            if found is None:
                raise
            return found[1]
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[digest] = now, caller
        return caller

    def forget(self) -> None:
        """Ask the database again: a key was revoked, or something was missed."""
        self._known.clear()
