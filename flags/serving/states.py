"""The flags' states of organizations, kept once for all organizations that have the same."""

from __future__ import annotations

import hashlib
from typing import Any
from weakref import WeakValueDictionary

from flags.evaluation import State

Rows = tuple[State, ...]


class States:
    """What holds for an organization, by the flags' ids; shared by all for which the same holds.

    `answers` is for whoever makes answers from them; `fingerprint` is the same in every process.
    """

    __slots__ = ("__weakref__", "_successors", "answers", "fingerprint", "rows")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.answers: dict[Any, Any] = {}
        content = repr([(row.flag_id, row.enabled, row.source_id, row.number) for row in rows])
        self.fingerprint = hashlib.blake2b(content.encode(), digest_size=16).digest()
        self._successors: WeakValueDictionary[State, States] = WeakValueDictionary()


class Shared:
    """All states in use, each content once; they go with the last organization that has them."""

    def __init__(self) -> None:
        self._by_rows: WeakValueDictionary[Rows, States] = WeakValueDictionary()

    def of(self, rows: Rows) -> States:
        """The states with these rows, in the order of the flags' ids."""
        found = self._by_rows.get(rows)
        if found is None:
            found = self._by_rows.setdefault(rows, States(rows))
        return found

    def after(self, states: States, new: State) -> States:
        """The states that follow from these by one new value; the same ones where theirs is newer."""
        found = states._successors.get(new)  # noqa: SLF001
        if found is None:
            rows = {row.flag_id: row for row in states.rows}
            current = rows.get(new.flag_id)
            if current is not None and current.number >= new.number:
                return states
            rows[new.flag_id] = new
            found = self.of(tuple(rows[flag_id] for flag_id in sorted(rows)))
            states._successors[new] = found  # noqa: SLF001
        return found
