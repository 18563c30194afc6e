"""The flags' states of organizations, kept once for all organizations that have the same, and in few bytes.

A value takes 17 bytes. As Python's objects it would take ten times as much, which a hundred thousand organizations with
a hundred flags each, all of them different, would make gigabytes of.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from itertools import chain
from struct import Struct
from weakref import WeakValueDictionary

from flags.evaluation.context_loader import Columns
from flags.evaluation.engine import StateValue

Row = tuple[int, int, bool]
"""A flag's value in an organization: where it comes from, the number of its change, whether it is on."""
ROW = Struct("<qq?")
OBJECT_BYTES = 450
"""What states take beside their rows: the object, its fingerprint, its entry in `Shared`."""


class PackedFormat:
    """The flags that have states, in the order of their ids; shared by all organizations with states of the same."""

    __slots__ = ("__weakref__", "digest", "flag_ids", "form", "places")

    def __init__(self, flag_ids: tuple[int, ...]) -> None:
        self.flag_ids = flag_ids
        self.places = {flag_id: place * ROW.size for place, flag_id in enumerate(flag_ids)}
        """Where each flag's row begins."""
        self.form = Struct("<" + "qq?" * len(flag_ids))
        self.digest = hashlib.blake2b(repr(flag_ids).encode(), digest_size=16).digest()


class PackedStates:
    """What holds for an organization; shared by all for which the same holds.

    `fingerprint` is the same in every process.
    """

    __slots__ = ("__weakref__", "_owner", "data", "fingerprint", "layout")

    def __init__(self, layout: PackedFormat, data: bytes, fingerprint: bytes, owner: InternedStates | None) -> None:
        self.layout = layout
        self.data = data
        self.fingerprint = fingerprint
        self._owner = owner

    def __del__(self) -> None:
        if self._owner is not None:
            self._owner.data_bytes -= len(self.data)

    def row(self, flag_id: int) -> Row | None:
        """The flag's value; None where nobody has set it."""
        place = self.layout.places.get(flag_id)
        return None if place is None else ROW.unpack_from(self.data, place)

    @property
    def rows(self) -> tuple[StateValue, ...]:
        """All of them, for who needs objects."""
        rows = zip(self.layout.flag_ids, ROW.iter_unpack(self.data), strict=True)
        return tuple(StateValue(flag_id, enabled, source, number) for flag_id, (source, number, enabled) in rows)


class InternedStates:
    """All states in use, each content once; they go with the last organization that has them."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, PackedStates] = WeakValueDictionary()
        self._layouts: WeakValueDictionary[tuple[int, ...], PackedFormat] = WeakValueDictionary()
        self.data_bytes = 0

    @property
    def size(self) -> int:
        """About what they take in memory."""
        return self.data_bytes + len(self._known) * OBJECT_BYTES

    def of(self, columns: Columns) -> PackedStates:
        """The states with this content."""
        flag_ids, values, sources, numbers = columns
        layout = self._layout(flag_ids)
        return self._states(layout, layout.form.pack(*chain.from_iterable(zip(sources, numbers, values, strict=True))))

    def after(self, states: PackedStates, new: StateValue) -> PackedStates:
        """The states that follow from these by one new value; the same ones where theirs is newer."""
        layout, data = states.layout, states.data
        row = ROW.pack(new.source_id, new.number, new.enabled)
        begin = end = layout.places.get(new.flag_id, -1)
        if begin >= 0:
            if ROW.unpack_from(data, begin)[1] >= new.number:
                return states
            end = begin + ROW.size
        else:
            place = bisect(layout.flag_ids, new.flag_id)
            layout = self._layout((*layout.flag_ids[:place], new.flag_id, *layout.flag_ids[place:]))
            begin = end = place * ROW.size
        return self._states(layout, data[:begin] + row + data[end:])

    def _layout(self, flag_ids: tuple[int, ...]) -> PackedFormat:
        found = self._layouts.get(flag_ids)
        return self._layouts.setdefault(flag_ids, PackedFormat(flag_ids)) if found is None else found

    def _states(self, layout: PackedFormat, data: bytes) -> PackedStates:
        fingerprint = hashlib.blake2b(layout.digest + data, digest_size=16).digest()
        found = self._known.get(fingerprint)
        if found is None:
            self.data_bytes += len(data)
            found = self._known.setdefault(fingerprint, PackedStates(layout, data, fingerprint, self))
        return found


NO_STATES = InternedStates().of(((), (), (), ()))
"""Where nobody has set anything."""
