"""Whose access key it is, remembered for a while, so that a read does not ask the database for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b
from time import monotonic

from django.db import Error

from orgs.access.authentication import caller_with
from orgs.access.caller import Caller

SURE_SECONDS = 10.0
"""A key that is no longer valid because its time has come may go on for so long; one that is revoked does not."""
MOST = 10_000
"""Valid keys that are remembered, and as many others."""


class AccessKeyCache:
    """Callers by their keys, of which only a hash is held.

    Keys that belong to nobody are remembered beside, so that whoever tries many of them drives out nobody's.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._epoch = 0
        self._storing = threading.Lock()

    def caller_with(self, key: str) -> Caller | None:
        """Whom the key belongs to, the same object as long as nothing about it changes; None for one that is not valid.

        While the database is away a key that was valid is believed. Raises a database error for one that isn't known.
        """
        digest = blake2b(key.encode()).digest()
        found = self._known.get(digest)
        now = monotonic()
        if found is not None and now - found[0] < SURE_SECONDS:
            return found[1]
        if now - self._unknown.get(digest, -SURE_SECONDS) < SURE_SECONDS:
            return None
        epoch = self._epoch
        try:
            caller = caller_with(key)
        except Error:
            if found is None:
                raise
            return found[1]
        if found is not None and found[1] == caller:
            caller = found[1]
        with self._storing:
            if epoch == self._epoch:  # else a key was revoked meanwhile, perhaps this one
                self._store(digest, now, caller)
        return caller

    def forget(self) -> None:
        """Ask the database again: a key was revoked, or something was missed."""
        with self._storing:
            self._epoch += 1
            self._known.clear()
            self._unknown.clear()

    def _store(self, digest: bytes, now: float, caller: Caller | None) -> None:
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)
        if caller is None:
            self._unknown[digest] = now
        else:
            self._known[digest] = now, caller
        for kept in (self._known, self._unknown):
            if len(kept) > MOST:
                kept.popitem(last=False)  # the one that was looked up longest ago
