"""Reading a file of definitions: the text that somebody chose, checked, as entries that can be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rest_framework.exceptions import ValidationError

from flags.definitions.models import Flag
from flags.errors import InvalidFlagFile
from flags.evaluation.wants import keys_of
from flags.moving.issues import Issue, Remark
from flags.moving.segments_of_file import SegmentEntry
from flags.moving.serializers import MOST_FLAGS, MOST_SEGMENTS, FlagFileInput, entries_of, segment_entries_of
from flags.moving.sources import flagd, flagsmith, growthbook, launchdarkly, unleash
from flags.moving.sources.conditions import WRONG_FORM, Found
from flags.moving.writing import Entry
from flags.targeting.segments import keys_named_in
from flagsite.core.api.input import errors_of, printable

LONGEST_KEY = 255
LONGEST_DETAIL = 1_000
"""Characters of the name of a flag and of a sentence in a remark."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says: the definitions that can be written, and what has no equal here."""

    entries: Sequence[Entry]
    remarks: Sequence[Remark] = ()
    segments: Sequence[SegmentEntry] = ()


class Source(StrEnum):
    """The products whose files Flagsite reads."""

    UNLEASH = "unleash"
    FLAGD = "flagd"
    LAUNCHDARKLY = "launchdarkly"
    GROWTHBOOK = "growthbook"
    FLAGSMITH = "flagsmith"


READERS: Mapping[Source, Callable[[Any, str], Found]] = {
    Source.UNLEASH: unleash.read,
    Source.FLAGD: flagd.read,
    Source.LAUNCHDARKLY: launchdarkly.read,
    Source.GROWTHBOOK: growthbook.read,
    Source.FLAGSMITH: flagsmith.read,
}


def read_import(source: Source, content: Any, environment: str = "") -> Reading:
    """Return what a file of another product says, without flags that exist here with another type.

    The arguments and the errors are those of `read_foreign_file`.
    """
    return read_foreign_file(source, content, environment, types=dict(Flag.objects.values_list("key", "type")))


def read_foreign_file(
    source: Source, content: Any, environment: str = "", *, types: Mapping[str, str] | None = None
) -> Reading:
    """Return what a file of another product says. A flag that Flagsite cannot say exactly is left out.

    Args:
        source: the product.
        content: the JSON of the file.
        environment: the environment whose rules count, for files that have several.
        types: the types of the flags that exist here. A flag of the file with another type is left out.

    Raises InvalidFlagFile.
    """
    try:
        flags, remarks, segments = READERS[source](content, environment)
    except InvalidFlagFile as error:
        raise InvalidFlagFile(printable(error.detail, LONGEST_DETAIL)) from None
    except WRONG_FORM:
        raise InvalidFlagFile("The file has another form than the product writes.") from None
    if len(flags) > MOST_FLAGS:
        raise InvalidFlagFile(f"The file has more than {MOST_FLAGS:,} flags.")
    unique = _entries(flags, remarks)
    known = _segments(segments)
    _leave_out_what_asks_for_others(unique, known, remarks)
    _leave_out_what_has_another_type(unique, types or {}, remarks)
    left = _without_needing_what_is_left_out(unique, remarks)
    said = sorted(map(_printable, remarks), key=lambda remark: (remark.flag, remark.issue))
    return Reading(left, said, _used_by(left, known))


def _entries(flags: Sequence[Mapping[str, Any]], remarks: list[Remark]) -> dict[str, Entry]:
    """Return the flags that are allowed here and are in the file once, and remark the others."""
    entries: dict[str, Entry] = {}
    twice = set()
    for flag in flags:
        try:
            (entry,) = entries_of([flag])
        except ValidationError as error:
            _leave_out(flag["name"], Issue.FORM, _in_words(error.detail), entries, remarks)
            continue
        if entry.key in entries:
            twice.add(entry.key)
        entries[entry.key] = entry
    twice |= entries.keys() & {remark.flag for remark in remarks if not remark.is_imported}
    for key in twice:
        _leave_out(key, Issue.FORM, "The flag is there twice. Write it once.", entries, remarks)
    return entries


def _printable(remark: Remark) -> Remark:
    """Return a remark that every answer and page can show: it has texts of the file, which may be no Unicode."""
    flag, detail = printable(remark.flag, LONGEST_KEY), printable(remark.detail, LONGEST_DETAIL)
    return replace(remark, flag=flag, detail=detail)


def _segments(segments: Sequence[Mapping[str, Any]]) -> dict[str, SegmentEntry]:
    """Return the segments that are allowed here, each of them once."""
    known: dict[str, SegmentEntry] = {}
    for segment in segments:
        try:
            known |= {entry.key: entry for entry in segment_entries_of([segment])}
        except ValidationError:
            continue
    return known


def _leave_out_what_asks_for_others(
    entries: dict[str, Entry], known: Mapping[str, SegmentEntry], remarks: list[Remark]
) -> None:
    """Leave out the flags that ask for a segment which is not allowed here, and remark it."""
    for key, entry in list(entries.items()):
        missing = sorted(_named_by([entry], known) - set(known))
        if missing:
            detail = f"Flagsite does not take the segment {missing[0]!r}: its key, a rule or a value is not allowed."
            _leave_out(key, Issue.SEGMENT, detail, entries, remarks)


def _leave_out_what_has_another_type(
    entries: dict[str, Entry], types: Mapping[str, str], remarks: list[Remark]
) -> None:
    """Leave out the flags that exist here with another type, which never changes, and remark it."""
    for key, entry in list(entries.items()):
        existing, wanted = types.get(key), str(entry.values["type"])
        if existing not in (None, wanted):
            detail = f"A flag with this name exists here with the type {existing}, and here it would be {wanted}."
            _leave_out(key, Issue.TYPE, detail, entries, remarks)


def _leave_out(key: str, issue: Issue, detail: str, entries: dict[str, Entry], remarks: list[Remark]) -> None:
    """Leave out a flag. Nothing else is said of it."""
    entries.pop(key, None)
    remarks[:] = [each for each in remarks if each.flag != key]
    remarks.append(Remark(key, issue, detail, is_imported=False))


def _used_by(entries: Sequence[Entry], known: Mapping[str, SegmentEntry]) -> list[SegmentEntry]:
    """Return the segments that flags need. Raises InvalidFlagFile if they are too many."""
    used = _named_by(entries, known)
    if len(used) > MOST_SEGMENTS:
        raise InvalidFlagFile(f"The flags of the file need more than {MOST_SEGMENTS:,} segments.")
    return [entry for key, entry in known.items() if key in used]


def _named_by(entries: Sequence[Entry], known: Mapping[str, SegmentEntry]) -> set[str]:
    """Return the keys of the segments that the rules of flags name, also by way of other segments."""
    found: set[str] = set()
    todo = {key for entry in entries for key in keys_named_in(entry.values.get("targeting_rules", ()))}
    while todo:
        found |= todo
        inner = (known[key].values["rules"] for key in todo if key in known)
        todo = {key for rules in inner for key in keys_named_in(rules)} - found
    return found


def _without_needing_what_is_left_out(entries: Mapping[str, Entry], remarks: list[Remark]) -> list[Entry]:
    """Leave out the flags that need a flag which is left out, and remark it."""
    left_out = {remark.flag for remark in remarks if not remark.is_imported}
    kept = dict(entries)
    while True:
        needing = {
            key: next(each for each in keys_of(entry.values["prerequisites"]) if each in left_out)
            for key, entry in kept.items()
            if left_out.intersection(keys_of(entry.values.get("prerequisites", ())))
        }
        if not needing:
            return list(kept.values())
        for key, needed in needing.items():
            del kept[key]
            left_out.add(key)
            detail = f"It needs the flag {needed!r}, which is not imported."
            remarks.append(Remark(key, Issue.PREREQUISITE, detail, is_imported=False))


def read_text(content: bytes) -> Any:
    """Return the JSON of a file. Raises InvalidFlagFile if it has none, or has a name twice in one object."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise InvalidFlagFile("The file is nested too deeply.") from None
    except ValueError as error:
        raise InvalidFlagFile(f"The file is not JSON in UTF-8: {printable(str(error))}.") from None


def read_flag_file(content: Any) -> Reading:
    """Return what a flag file says. Raises InvalidFlagFile."""
    if not isinstance(content, dict):
        raise InvalidFlagFile('The file is not a flag file, which is an object with the member "flags".')
    checked = FlagFileInput(data=content)
    try:
        is_valid = checked.is_valid()
    except ValidationError as error:  # a member that the format does not have
        raise InvalidFlagFile(_in_words(error.detail)) from None
    if not is_valid:
        raise InvalidFlagFile(_in_words(errors_of(checked)))
    return Reading(checked.validated_data["flags"], segments=checked.validated_data.get("segments", ()))


def _in_words(errors: Any) -> str:
    if isinstance(errors, Mapping):
        return " ".join(f"{name}: {_in_words(inner)}" for name, inner in errors.items())
    return " ".join(map(_in_words, errors)) if isinstance(errors, list) else str(errors)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found
