"""Requests that are sent again as they were: what was answered "not modified" is answered so again, without being read.

A client that polls sends the same bytes each time. Who sends them is found out each time; what they come to is known
from before, as long as all that it was made from is still the same. Of that only fingerprints are kept, so that nothing
lives longer because of a request that nobody sends any more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from weakref import ref

from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.organization_snapshot import OrganizationSnapshot
from flagsite.core.ids import id_in
from orgs.access.caller import Caller

MOST = 20_000
"""Requests that are remembered; of more, the one goes that was read longest ago."""
LONGEST_BODY = 1_000


@dataclass(frozen=True, slots=True)
class NotModifiedEntry:
    """A request that had the tag of its answer, and what the answer was made from."""

    path: str
    body: bytes
    caller: Caller
    definitions: bytes
    """Their fingerprint, and that of the states."""
    states: bytes
    view: ref[OrganizationSnapshot]


class NotModifiedCache:
    """The last requests of this kind, by their tags."""

    def __init__(self, memory: EvaluationCache) -> None:
        self._memory = memory
        self._known: OrderedDict[str, NotModifiedEntry] = OrderedDict()
        self._storing = threading.Lock()

    def find(self, path: str, tag: str, body: bytes, caller: Caller) -> OrganizationSnapshot | None:
        """The organization that the request is about, if the tag still is that of its answer; else None."""
        known = self._known.get(tag)
        if known is None or known.body != body or known.path != path or known.caller is not caller:
            return None
        view = known.view()
        if view is None or self._memory.definitions().fingerprint != known.definitions:
            return None
        if view.organization_id is not None and not self._memory.is_current(view):
            return None
        return view if view.states.fingerprint == known.states else None

    def keep(self, tag: str, known: NotModifiedEntry) -> None:
        """Remember the request.

        Not where the organization's key is digits: whoever said them would ask for another one, once that has this id.
        """
        view = known.view()
        if len(known.body) > LONGEST_BODY or view is None or (view.keys and id_in(view.keys[-1]) is not None):
            return
        with self._storing:
            self._known.pop(tag, None)
            self._known[tag] = known
            if len(self._known) > MOST:
                self._known.popitem(last=False)
