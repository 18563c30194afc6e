"""Writing many definitions at once, all or none, and the plan of it.

Each flag is written by the functions that the API calls for a single flag (`flags.definitions.service`), with an audit
entry of its own. A plan does the same and takes everything back, so a file whose plan succeeds can be written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any

from django.db import transaction

from flags.definitions import service, variant_uses
from flags.definitions.definition_plan import FieldChange
from flags.definitions.fields import FIELDS, as_json, differ, values_of
from flags.definitions.models import Flag
from flags.errors import FlagFileChangedMeanwhile, PrerequisiteCycle
from flags.evaluation.wants import keys_of
from flags.moving import flag_file
from flags.moving.segments_of_file import SegmentEntry, WrittenSegment, delete_others, write_segments
from flags.targeting.weighted_rules import rollout_with_explicit_ranges, with_explicit_ranges
from flagsite.core.errors import FlagsiteError

Values = Mapping[str, Any]
"""Definition fields by the names of the model."""
DEFAULTS = {name: spec.default for name, spec in FIELDS.items() if not spec.is_kept_by_put}


class Mode(StrEnum):
    """How a file is written."""

    MERGE = "merge"
    """Flags and segments are added and changed. A field that the file leaves out stays, and so does a flag."""
    MIRROR = "mirror"
    """The definitions become those of the file: fields get their defaults, and all other flags are archived."""


WAYS_OUT = {
    Mode.MERGE: "Nothing was written. Change this flag in the file, or take it out of the file.",
    Mode.MIRROR: "Nothing was written. Change this flag in the file, or here.",
}
"""What one can do about a flag that cannot be written."""


class Action(StrEnum):
    """What is done with a flag."""

    CREATE = "create"
    CHANGE = "change"
    ARCHIVE = "archive"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Entry:
    """The definition of a flag in a file."""

    key: str
    values: Values


@dataclass(frozen=True, slots=True)
class WrittenFlag:
    """What was done with a flag, or would be."""

    key: str
    action: Action
    changes: Sequence[FieldChange]


@dataclass(frozen=True, slots=True)
class Written:
    """What was done with all flags, or would be, in the order of their names."""

    mode: Mode
    flags: Sequence[WrittenFlag]
    segments: Sequence[WrittenSegment]
    revision: str
    """The revision of the definitions (`flag_file.revision`) after a write; for a plan, the one that it is made for."""

    def count(self, action: Action) -> int:
        """Return the number of flags with which this was done."""
        return Counter(flag.action for flag in self.flags)[action]


def write(
    entries: Sequence[Entry],
    mode: Mode,
    *,
    by: str,
    reason: str = "",
    expected: Collection[str] = service.ANY,
    segments: Sequence[SegmentEntry] = (),
) -> Written:
    """Write the definitions of a file, all or none.

    Args:
        entries: the flags of the file, each of them once.
        mode: whether what the file does not have stays.
        by: the actor.
        reason: the reason for the audit log.
        expected: revisions of the definitions (`flag_file.revision`), of which they must have one before.
        segments: the segments of the file, each of them once.

    Raises FlagFileChangedMeanwhile, for a segment what `write_segments` raises, and for a flag what `service.create`
    and `service.update` raise; the message names the segment or the flag then.
    """
    with transaction.atomic():
        service.lock_definitions()
        if "*" not in expected and flag_file.revision() not in expected:
            raise FlagFileChangedMeanwhile
        flags, written_segments = _write_all(entries, mode, segments, by=by, reason=reason)
        return Written(mode, flags, written_segments, flag_file.revision())


def plan(
    entries: Sequence[Entry],
    mode: Mode,
    *,
    by: str,
    expected: Collection[str] = service.ANY,
    segments: Sequence[SegmentEntry] = (),
) -> Written:
    """Return what `write` would do. Nothing is written. Raises what `write` raises."""
    with transaction.atomic():
        service.lock_definitions()
        revision = flag_file.revision()
        if "*" not in expected and revision not in expected:
            raise FlagFileChangedMeanwhile
        flags, planned_segments = _write_all(entries, mode, segments, by=by, reason="")
        transaction.set_rollback(True)
    return Written(mode, flags, planned_segments, revision)


def _write_all(
    entries: Sequence[Entry], mode: Mode, segments: Sequence[SegmentEntry], *, by: str, reason: str
) -> tuple[list[WrittenFlag], list[WrittenSegment]]:
    """Write the flags and segments of a file, and end the others if the file is mirrored."""
    is_whole = mode is Mode.MIRROR
    written_segments = write_segments(segments, is_whole=is_whole, by=by, reason=reason)
    existing = {flag.key: flag for flag in Flag.objects.prefetch_related("prerequisites").order_by("key")}
    before = {key: as_json(values_of(flag)) for key, flag in existing.items()}
    todo = [(entry, mode) for entry in _in_order(entries, existing, mode)]
    if is_whole:
        todo += [(entry, Mode.MERGE) for entry in _ending(entries, existing)]  # all else about these flags stays
    try:
        written = [_write_one(entry, how, before.get(entry.key), by=by, reason=reason) for entry, how in todo]
        _check_wants(written)
    except FlagsiteError as error:
        raise _with_way_out(error, mode)  # noqa: B904 - the same error
    if is_whole:
        written_segments += delete_others(segments, by=by, reason=reason)
    return sorted(written, key=lambda flag: flag.key), sorted(written_segments, key=lambda segment: segment.key)


def _check_wants(written: Sequence[WrittenFlag]) -> None:
    """Check that no flag needs a variant that the file removes. Raises VariantInUse.

    Only now: a flag that needs the variant is written after the flag that has it, and may need another one then.
    """
    for flag in written:
        variants = next((change for change in flag.changes if change.name == "variants"), None)
        removed = _keys_of_variants(variants.before) - _keys_of_variants(variants.after) if variants else set()
        if removed:
            try:
                variant_uses.check_unwanted(service.flag_called(flag.key), removed)
            except FlagsiteError as error:
                raise _naming(error, flag.key)  # noqa: B904 - the same error


def _keys_of_variants(variants: Sequence[Mapping[str, Any]]) -> set[str]:
    return {variant["key"] for variant in variants}


def _write_one(entry: Entry, mode: Mode, before: Mapping[str, Any] | None, *, by: str, reason: str) -> WrittenFlag:
    try:
        if before is None:
            service.create(key=entry.key, values=entry.values, by=by, reason=reason)
            return WrittenFlag(entry.key, Action.CREATE, ())
        values = _kept_buckets(_whole(entry, mode))
        flag = service.update(key=entry.key, values=values, by=by, reason=reason, leaves_wants=True)
    except FlagsiteError as error:
        raise _naming(error, entry.key)  # noqa: B904 - the same error
    after = as_json(values_of(flag))
    changes = [FieldChange(name, before[name], after[name]) for name in after if differ(before[name], after[name])]
    is_archived = any(change.name == "archived" and change.after for change in changes)
    action = Action.ARCHIVE if is_archived else Action.CHANGE if changes else Action.NONE
    return WrittenFlag(entry.key, action, changes)


def _whole(entry: Entry, mode: Mode) -> Values:
    """Return the values that a flag gets: in a mirrored file, a field that is left out gets its default."""
    if mode is Mode.MERGE:
        return entry.values
    return {**DEFAULTS, "archived": False, **entry.values}


def _kept_buckets(values: Values) -> Values:
    """Return the values of a file with the buckets that rollouts have there, and not the nearest to those of now."""
    kept = dict(values)
    if "targeting_rules" in values:
        kept["targeting_rules"] = with_explicit_ranges(values["targeting_rules"])
    if values.get("default_rollout") is not None:
        kept["default_rollout"] = rollout_with_explicit_ranges(values["default_rollout"])
    return kept


def _ending(entries: Sequence[Entry], existing: Mapping[str, Flag]) -> list[Entry]:
    """Return what archives the flags that the file does not have."""
    kept = {entry.key for entry in entries}
    ended = [key for key, flag in existing.items() if key not in kept and not (flag.archived or flag.purging)]
    return [Entry(key, {"archived": True}) for key in ended]


def _in_order(entries: Sequence[Entry], existing: Mapping[str, Flag], mode: Mode) -> list[Entry]:
    """Return the flags so that each stands after its prerequisites. Raises PrerequisiteCycle.

    In this order no flag needs one that does not exist yet, and no circle arises between the first change and the last.
    Flags that the file does not have keep their prerequisites, so they count too.
    """
    by_key = {entry.key: entry for entry in entries}
    needed: dict[str, list[str]] = {key: [] for key in by_key}
    needed |= {key: [each.key for each in flag.prerequisites.all()] for key, flag in existing.items()}
    for entry in entries:
        values = _whole(entry, mode)
        if "prerequisites" in values:
            needed[entry.key] = keys_of(values["prerequisites"])
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        refused = PrerequisiteCycle(f"Flags cannot need each other in a circle: {' -> '.join(circle)}.")
        refused.members["flag"] = circle[0]
        raise refused from error
    return [by_key[key] for key in order if key in by_key]


def _with_way_out(error: FlagsiteError, mode: Mode) -> FlagsiteError:
    """Return the error with a sentence about what one can do so that the rest of the file is written."""
    error.detail = f"{error.detail} {WAYS_OUT[mode]}"
    error.args = (error.detail,)
    return error


def _naming(error: FlagsiteError, key: str) -> FlagsiteError:
    """Return the error with the flag in its message and in the problem document."""
    if repr(key) not in error.detail:
        error.detail = f"The flag {key!r}: {error.detail}"
        error.args = (error.detail,)
    error.members["flag"] = key
    return error
