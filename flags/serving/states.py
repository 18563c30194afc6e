"""The flags' states of organizations, kept once for all organizations that have the same."""

from __future__ import annotations

import hashlib
from typing import Any
from weakref import WeakValueDictionary

from flags.evaluation import State
from flags.places import Columns

NONE: Columns = ((), (), (), ())


class States:
    """What holds for an organization, by the flags' ids; shared by all for which the same holds.

    `answers` is for whoever makes answers from them; `fingerprint` is the same in every process.
    """

    __slots__ = ("__weakref__", "answers", "fingerprint", "rows", "successors")

    def __init__(self, columns: Columns) -> None:
        self.rows = tuple(State(*row) for row in zip(*columns, strict=True))
        self.answers: dict[str, Any] = {}
        self.fingerprint = hashlib.blake2b(repr(columns).encode(), digest_size=16).digest()
        self.successors: WeakValueDictionary[State, States] = WeakValueDictionary()
        """What follows from these by one new value, as far as it was asked for."""


class Shared:
    """All states in use, each content once; they go with the last organization that has them.

    Contents are told apart column by column: thousands of organizations share one, and to make rows of what is known
    already would cost more than the query.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Columns, States] = WeakValueDictionary()

    def of(self, columns: Columns) -> States:
        """The states with this content."""
        found = self._known.get(columns)
        if found is None:
            found = self._known.setdefault(columns, States(columns))
        return found

    def after(self, states: States, new: State) -> States:
        """The states that follow from these by one new value; the same ones where theirs is newer."""
        found = states.successors.get(new)
        if found is None:
            rows = {row.flag_id: row for row in states.rows}
            current = rows.get(new.flag_id)
            if current is not None and current.number >= new.number:
                return states
            rows[new.flag_id] = new
            found = states.successors[new] = self.of(columns_of([rows[flag_id] for flag_id in sorted(rows)]))
        return found


def columns_of(rows: list[State]) -> Columns:
    """The same, column by column; rows come in the order of the flags' ids."""
    return (
        tuple(row.flag_id for row in rows),
        tuple(row.enabled for row in rows),
        tuple(row.source_id for row in rows),
        tuple(row.number for row in rows),
    )
