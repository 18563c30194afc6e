"""Flag states as bytes, kept once for all organizations that have the same.

A value takes 17 bytes, and 20 in organizations where the number of a variant is above 63, or that have a custom value.
As a Python object it would take ten times as much: gigabytes for a hundred thousand
organizations that all differ in a hundred flags.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Mapping
from itertools import chain
from struct import Struct
from typing import Any
from weakref import WeakValueDictionary

from flags.evaluation.context_loader import CustomValues, StateColumns
from flags.evaluation.engine import StateValue
from flags.values.served import as_json
from flags.values.types import FlagType

PackedRow = tuple[int, int, int]
"""A flag's value in an organization: the organization it was set on, its change number, and its bits.

The bits are ON and LOCKED, and above them the number of a variant or custom value (`variant_of`)."""
ON, LOCKED = 1, 2
NARROW, WIDE = Struct("<qqB"), Struct("<qqI")
"""How a row is packed: WIDE if the bits of any row of the organization do not fit into a byte."""
MAX_BYTE = 255
BYTES_OF_CHARACTER = 4
"""What a custom value takes in memory, for each byte of its JSON."""
NO_CUSTOM_VALUES: CustomValues = {}
OBJECT_BYTES = 450
"""About what `PackedStates` take beside their rows: the object, its fingerprint, its entry in `InternedStates`."""


class PackedFormat:
    """Which flags have states, in the order of their ids; shared by all organizations with states of the same flags."""

    __slots__ = ("__weakref__", "digest", "flag_ids", "offsets", "row", "struct")

    def __init__(self, flag_ids: tuple[int, ...], row: Struct) -> None:
        self.flag_ids = flag_ids
        self.row = row
        self.offsets = {flag_id: index * row.size for index, flag_id in enumerate(flag_ids)}
        """The byte at which each flag's row begins."""
        self.struct = Struct("<" + row.format[1:] * len(flag_ids))
        self.digest = hashlib.blake2b(repr((row.format, flag_ids)).encode(), digest_size=16).digest()


class PackedStates:
    """The flag states of an organization, shared by all organizations with the same.

    `data` has a row for each flag of `layout`. `fingerprint` is the same in every process. `custom` has the custom
    values of the rows by their numbers.
    """

    __slots__ = ("__weakref__", "_interned_by", "_selected", "custom", "data", "fingerprint", "layout")

    def __init__(
        self,
        layout: PackedFormat,
        data: bytes,
        fingerprint: bytes,
        interned_by: InternedStates,
        custom: CustomValues,
    ) -> None:
        self.layout = layout
        self.data = data
        self.fingerprint = fingerprint
        self.custom = custom
        self._interned_by = interned_by
        self._selected: tuple[tuple[int, ...], PackedStates | None] | None = None
        """What `only` returned last, and for which flags; None stands for these states themselves."""

    def __del__(self) -> None:
        self._interned_by.data_bytes -= self.size

    @property
    def size(self) -> int:
        """About what its rows and custom values take in memory, in bytes."""
        return len(self.data) + sum(map(_bytes_of, self.custom.values()))

    def row(self, flag_id: int) -> PackedRow | None:
        """The flag's value; None where it is set nowhere."""
        offset = self.layout.offsets.get(flag_id)
        return None if offset is None else self.layout.row.unpack_from(self.data, offset)

    def only(self, flag_ids: tuple[int, ...]) -> PackedStates:
        """The states of these flags, without all others. Every call with the same tuple but the first is a look-up."""
        selected = self._selected
        if selected is None or selected[0] is not flag_ids:
            states = self._interned_by.selected(self, frozenset(flag_ids))
            selected = self._selected = flag_ids, None if states is self else states  # no circle of references
        return self if selected[1] is None else selected[1]

    @property
    def rows(self) -> tuple[StateValue, ...]:
        """All states as objects."""
        rows = zip(self.layout.flag_ids, self.layout.row.iter_unpack(self.data), strict=True)
        return tuple(
            StateValue(
                flag_id, bool(bits & ON), source, number, bool(bits & LOCKED), bits >> 2, self.custom.get(bits >> 2)
            )
            for flag_id, (source, number, bits) in rows
        )


def _bytes_of(value: Any) -> int:
    """About what a custom value takes in memory, in bytes."""
    return BYTES_OF_CHARACTER * len(as_json(value, FlagType.OBJECT))


def variant_of(row: PackedRow) -> int:
    """The number of the variant or custom value of a row; 0 if it names none (`flags.values.variants`)."""
    return row[2] >> 2


class InternedStates:
    """All packed states in use, each content once; they go with the last organization that has them."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, PackedStates] = WeakValueDictionary()
        self._layouts: WeakValueDictionary[tuple[tuple[int, ...], Struct], PackedFormat] = WeakValueDictionary()
        self.data_bytes = 0

    @property
    def size(self) -> int:
        """About what they take in memory, in bytes."""
        return self.data_bytes + len(self._known) * OBJECT_BYTES

    def of(self, columns: StateColumns, custom: CustomValues = NO_CUSTOM_VALUES) -> PackedStates:
        """The packed states with this content."""
        flag_ids, bits, sources, numbers = columns
        layout = self._layout(flag_ids, NARROW if max(bits, default=0) <= MAX_BYTE else WIDE)
        rows = chain.from_iterable(zip(sources, numbers, bits, strict=True))
        return self._states(layout, layout.struct.pack(*rows), custom)

    def with_value(self, states: PackedStates, new: StateValue) -> PackedStates:
        """These states with one new value, which is no custom one; the same states where theirs has a higher number."""
        bits = new.enabled | new.locked << 1 | new.variant << 2
        layout, data = states.layout, states.data
        if bits > MAX_BYTE or layout.row is WIDE:
            return self._with_wide(states, new, bits)
        row = layout.row.pack(new.source_id, new.number, bits)
        begin = end = layout.offsets.get(new.flag_id, -1)
        if begin >= 0:
            if layout.row.unpack_from(data, begin)[1] >= new.number:
                return states
            end = begin + layout.row.size
        else:
            index = bisect(layout.flag_ids, new.flag_id)
            layout = self._layout((*layout.flag_ids[:index], new.flag_id, *layout.flag_ids[index:]), layout.row)
            begin = end = index * layout.row.size
        return self._states(layout, data[:begin] + row + data[end:], states.custom)

    def _with_wide(self, states: PackedStates, new: StateValue, bits: int) -> PackedStates:
        """The same where a row is wide, before or afterwards: the width depends on the content alone."""
        rows = dict(zip(states.layout.flag_ids, states.layout.row.iter_unpack(states.data), strict=True))
        former = rows.get(new.flag_id)
        if former is not None and former[1] >= new.number:
            return states
        return self._of_rows(rows | {new.flag_id: (new.source_id, new.number, bits)}, states.custom)

    def _of_rows(self, rows: Mapping[int, PackedRow], custom: CustomValues) -> PackedStates:
        flag_ids = tuple(sorted(rows))
        ordered = [rows[flag_id] for flag_id in flag_ids]
        bits = tuple(row[2] for row in ordered)
        named = {each >> 2: custom[each >> 2] for each in bits if each >> 2 in custom}
        return self.of((flag_ids, bits, tuple(row[0] for row in ordered), tuple(row[1] for row in ordered)), named)

    def selected(self, states: PackedStates, flag_ids: frozenset[int]) -> PackedStates:
        """These states without those of other flags; the same states where they have no others."""
        row = states.layout.row
        chosen = tuple(flag_id for flag_id in states.layout.flag_ids if flag_id in flag_ids)
        if len(chosen) == len(states.layout.flag_ids):
            return states
        if row is WIDE:
            rows = zip(states.layout.flag_ids, row.iter_unpack(states.data), strict=True)
            return self._of_rows({flag_id: each for flag_id, each in rows if flag_id in flag_ids}, states.custom)
        layout = self._layout(chosen, row)
        offsets = [states.layout.offsets[flag_id] for flag_id in layout.flag_ids]
        return self._states(
            layout, b"".join(states.data[offset : offset + row.size] for offset in offsets), states.custom
        )

    def _layout(self, flag_ids: tuple[int, ...], row: Struct) -> PackedFormat:
        found = self._layouts.get((flag_ids, row))
        return self._layouts.setdefault((flag_ids, row), PackedFormat(flag_ids, row)) if found is None else found

    def _states(self, layout: PackedFormat, data: bytes, custom: CustomValues) -> PackedStates:
        fingerprint = hashlib.blake2b(layout.digest + data, digest_size=16).digest()
        found = self._known.get(fingerprint)
        if found is None:
            found = self._known.setdefault(fingerprint, PackedStates(layout, data, fingerprint, self, custom))
            self.data_bytes += found.size
        return found


NO_STATES = InternedStates().of(((), (), (), ()))
"""The states of an organization for which no flag is set."""
