"""Requests that are sent again as they were, for which the answer is still "not modified".

A client that polls sends the same bytes each time. Its key is checked each time; the rest of the request is neither
parsed nor evaluated as long as everything that the answer was made from is the same. The cache has fingerprints only,
so nothing lives longer because of a request that nobody sends any more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from weakref import ref

from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.usage_counter import UNCOUNTED, UsageCounter
from orgs.access.caller import Caller
from orgs.access.models import Role

CLIENT = Role.CLIENT
"""Looked up once, as every request compares with it."""
MOST = 20_000
"""Requests that are kept; of more, the one goes that was stored longest ago."""
LONGEST_BODY = 1_000


@dataclass(slots=True)
class NotModifiedEntry:
    """A request that had the tag of its answer, what the answer was made from, and how it is counted."""

    path: str
    body: bytes
    caller: Caller
    definitions: bytes
    """The fingerprint of the definitions that the caller can evaluate."""
    states: bytes
    """The fingerprint of the flag states that count for them."""
    snapshot: ref[OrganizationSnapshot]
    organization_id: int | None
    environment: str
    steps: UsageCounter = UNCOUNTED
    """How often the request was answered (`usage_counter.count_all`)."""


class NotModifiedCache:
    """The last requests that were answered "not modified", by their tags."""

    def __init__(self, cache: EvaluationCache) -> None:
        self._cache = cache
        self._entries: OrderedDict[str, NotModifiedEntry] = OrderedDict()
        self._storing = threading.Lock()

    def find(self, path: str, tag: str, body: bytes, caller: Caller) -> NotModifiedEntry | None:
        """What is kept of the request, where the tag is still that of its answer; else None."""
        entry = self._entries.get(tag)
        if entry is None or entry.body != body or entry.path != path or entry.caller is not caller:
            return None
        snapshot = entry.snapshot()
        if snapshot is None:
            return None
        definitions = self._cache.definitions()
        if snapshot.organization_id is not None and not self._cache.is_current(snapshot):
            return None
        states = snapshot.states
        if caller.role is CLIENT:
            definitions, states = definitions.for_clients(states)
        same = definitions.fingerprint == entry.definitions and states.fingerprint == entry.states
        return entry if same else None

    def keep(self, tag: str, entry: NotModifiedEntry) -> None:
        """Store the request."""
        snapshot = entry.snapshot()
        if len(entry.body) > LONGEST_BODY or snapshot is None:
            return
        with self._storing:
            self._entries.pop(tag, None)
            self._entries[tag] = entry
            if len(self._entries) > MOST:
                self._entries.popitem(last=False)
