"""The caller of each access key, cached for a while, so that a read does not ask the database for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b
from time import monotonic

from django.db import Error

from flags.serving.cache_events import UNHEARD_SECONDS
from flagsite.core.adapters.django_orm import replace_connection
from orgs.access.authentication import caller_with
from orgs.access.caller import Caller

FRESH_SECONDS = 10.0
"""How long a cached key is used without asking the database; UNHEARD_SECONDS while the process hears of no change.

So an expired key may go on; a revoked one does not."""
MOST = 10_000
"""Valid keys that are cached, and as many that are not valid."""


class AccessKeyCache:
    """Callers by the hashes of their access keys.

    Keys that are not valid are cached apart, so that a client who tries many of them drives out no valid key.
    """

    def __init__(self) -> None:
        self._valid: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        """When each key was looked up, and its caller; the one that was looked up longest ago comes first."""
        self._invalid: OrderedDict[bytes, float] = OrderedDict()
        self._epoch = 0
        self.set_listening(hears=True)
        self._storing = threading.Lock()

    def caller_with(self, key: str) -> Caller | None:
        """The caller of a key, None for a key that is not valid; the same object as long as nothing about it changes.

        While the database is away a cached key stays valid; a key that isn't cached raises a database error.
        """
        digest = blake2b(key.encode()).digest()
        cached = self._valid.get(digest)
        now = monotonic()
        if cached is not None and now - cached[0] < self._fresh:
            return cached[1]
        if now - self._invalid.get(digest, -FRESH_SECONDS) < self._fresh:
            return None
        epoch = self._epoch
        replace_connection()
        try:
            caller = caller_with(key)
        except Error:
            if cached is None:
                raise
            return cached[1]
        if cached is not None and cached[1] == caller:
            caller = cached[1]
        with self._storing:
            if epoch == self._epoch:  # else a key was revoked meanwhile, perhaps this one
                self._store(digest, now, caller)
        return caller

    def set_listening(self, *, hears: bool) -> None:
        """Whether the process hears of revoked keys from now on; a new cache believes that it does."""
        self._fresh = FRESH_SECONDS if hears else UNHEARD_SECONDS

    def clear(self) -> None:
        """Ask the database again: a key was revoked, or a notification was missed."""
        with self._storing:
            self._epoch += 1
            self._valid.clear()
            self._invalid.clear()

    def _store(self, digest: bytes, now: float, caller: Caller | None) -> None:
        self._valid.pop(digest, None)
        self._invalid.pop(digest, None)
        if caller is None:
            self._invalid[digest] = now
        else:
            self._valid[digest] = now, caller
        for cached in (self._valid, self._invalid):
            if len(cached) > MOST:
                cached.popitem(last=False)
