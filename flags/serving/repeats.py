"""Requests that are sent again as they were: what was answered "not modified" is answered so again, without being read.

A client that polls sends the same bytes each time. Who sends them is found out each time; what they come to is known
from before, as long as all that it was made from is still the same.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from flags.serving.memory import Definitions, Memory, View
from flags.serving.states import States
from orgs.access import Caller
from orgs.ids import id_in

MOST = 20_000
"""Requests that are remembered; of more, the one goes that was read longest ago."""
LONGEST_BODY = 1_000


@dataclass(frozen=True, slots=True)
class Known:
    """A request that had the tag of its answer, and all that the answer was made from.

    Each of the latter is another object as soon as it says something else.
    """

    path: str
    body: bytes
    caller: Caller
    definitions: Definitions
    view: View
    states: States
    """The view's, as they were when the answer was made."""


class Repeats:
    """The last requests of this kind, by their tags."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._storing = threading.Lock()

    def find(self, path: str, tag: str, body: bytes, caller: Caller) -> View | None:
        """The organization that the request is about, if the tag still is that of its answer; else None."""
        known = self._known.get(tag)
        if known is None or known.body != body or known.path != path or known.caller is not caller:
            return None
        memory, view = self._memory, known.view
        if memory.definitions() is not known.definitions:
            return None
        if view.organization_id is not None and not memory.is_current(view):
            return None
        return view if view.known[0] is known.states else None

    def keep(self, tag: str, known: Known) -> None:
        """Remember the request.

        Not where the organization's key is digits: whoever said them would ask for another one, once that has this id.
        """
        keys = known.view.keys
        if len(known.body) > LONGEST_BODY or (keys and id_in(keys[-1]) is not None):
            return
        with self._storing:
            self._known.pop(tag, None)
            self._known[tag] = known
            if len(self._known) > MOST:
                self._known.popitem(last=False)
