"""The segments of a flag file: how they are written and, when a file is mirrored, which ones are deleted.

The segments of a file are written before its flags, so that the rules of flags can name them. Those that a mirrored
file does not have are deleted after its flags, if nothing uses them any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from flags.definitions.definition_plan import FieldChange
from flags.definitions.fields import differ
from flags.errors import SegmentCycle
from flags.segments import service
from flags.segments.fields import FIELDS, default_of, values_of
from flags.segments.models import Segment
from flags.segments.uses import load_edges, uses_of
from flags.targeting.segments import keys_named_in
from flagsite.core.errors import FlagsiteError

CREATE, CHANGE, DELETE, NONE = "create", "change", "delete", "none"
ACTIONS = (CREATE, CHANGE, DELETE, NONE)
"""What is done with a segment."""


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment in a file, with the fields that the file has."""

    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """What was done with a segment, or would be."""

    key: str
    action: str
    changes: Sequence[FieldChange] = ()


def segments_of_file() -> list[dict[str, Any]]:
    """Return all segments as a file has them, in the order of their keys."""
    segments = sorted(Segment.objects.all(), key=lambda segment: segment.key)
    return [{"key": segment.key, **values_of(segment)} for segment in segments]


def write_segments(
    entries: Sequence[SegmentEntry], *, is_whole: bool, by: str, reason: str = ""
) -> list[WrittenSegment]:
    """Create and change segments; each after those that it names. With `is_whole`, a missing field gets its default.

    Raises what `flags.segments.service` raises; the message names the segment then.
    """
    existing = {segment.key: values_of(segment) for segment in Segment.objects.all()}
    order = _in_order(entries, is_whole=is_whole)
    return [_write(entry, existing.get(entry.key), is_whole=is_whole, by=by, reason=reason) for entry in order]


def delete_others(kept: Sequence[SegmentEntry], *, by: str, reason: str = "") -> list[WrittenSegment]:
    """Delete the segments that a file does not have, if nothing uses them: no archived flag and no scheduled change."""
    keys = {entry.key for entry in kept}
    others = [key for key in TopologicalSorter(load_edges()).static_order() if key not in keys]
    deleted = []
    for key in reversed(others):  # each before those that it names
        if not uses_of(key).in_words:
            service.delete(key=key, by=by, reason=reason)
            deleted.append(WrittenSegment(key, DELETE))
    return deleted


def _write(
    entry: SegmentEntry, before: Mapping[str, Any] | None, *, is_whole: bool, by: str, reason: str
) -> WrittenSegment:
    try:
        if before is None:
            service.create(key=entry.key, values=entry.values, by=by, reason=reason)
            return WrittenSegment(entry.key, CREATE)
        defaults = {name: default_of(name) for name in FIELDS} if is_whole else {}
        segment = service.update(key=entry.key, values=defaults | dict(entry.values), by=by, reason=reason)
    except FlagsiteError as error:
        if repr(entry.key) not in error.detail:
            error.detail = f"The segment {entry.key!r}: {error.detail}"
            error.args = (error.detail,)
        raise
    after = values_of(segment)
    changes = [FieldChange(name, before[name], after[name]) for name in FIELDS if differ(before[name], after[name])]
    return WrittenSegment(entry.key, CHANGE if changes else NONE, changes)


def _in_order(entries: Sequence[SegmentEntry], *, is_whole: bool) -> list[SegmentEntry]:
    """Return the segments so that each stands after those that its rules name. Raises SegmentCycle.

    Segments that the file does not have keep their rules, so they count too.
    """
    by_key = {entry.key: entry for entry in entries}
    named: dict[str, list[str]] = {key: [] for key in by_key} | load_edges()
    for entry in entries:
        if is_whole or "rules" in entry.values:
            named[entry.key] = sorted(keys_named_in(entry.values.get("rules", ())))
    try:
        order = list(TopologicalSorter(named).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise SegmentCycle(f"Segments cannot contain each other in a circle: {circle}.") from error
    return [by_key[key] for key in order if key in by_key]
