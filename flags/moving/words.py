"""What is done with the flags of a file, in words for pages and commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flags.definitions.definition_plan import FieldChange
from flags.definitions.plan_words import value_in_words
from flags.moving.issues import Remark
from flags.moving.segments_of_file import CHANGE, CREATE, DELETE, NONE
from flags.moving.writing import Action, Written, WrittenFlag
from flagsite.core.words import counted

VERBS = {Action.CREATE: "is defined", Action.CHANGE: "is changed", Action.ARCHIVE: "is archived"}

VERBS_OF_SEGMENTS = {CREATE: "is created", CHANGE: "is changed", DELETE: "is deleted"}
COUNTED_SEGMENTS = {CREATE: "created", CHANGE: "changed", DELETE: "deleted", NONE: "unchanged"}
COUNTED = {
    Action.CREATE: "defined",
    Action.CHANGE: "changed",
    Action.ARCHIVE: "archived",
    Action.NONE: "unchanged",
}


def summary(written: Written) -> str:
    """Return the sentence with the numbers of flags."""
    counts = [(written.count(action), said) for action, said in COUNTED.items()]
    parts = ", ".join(f"{number:,} {said}" for number, said in counts)
    return " ".join([f"{counted(len(written.flags), 'flag')}: {parts}.", *_about_segments(written)])


def _about_segments(written: Written) -> list[str]:
    """Return a sentence with the numbers of segments, if the file has some or deletes some."""
    if not written.segments:
        return []
    numbers = Counter(segment.action for segment in written.segments)
    parts = ", ".join(f"{numbers[action]:,} {said}" for action, said in COUNTED_SEGMENTS.items())
    return [f"{counted(len(written.segments), 'segment')}: {parts}."]


def lines_of(written: Written) -> list[str]:
    """Return a line for each segment and flag that changes, with what differs."""
    segments = [
        f"segment {each.key} {VERBS_OF_SEGMENTS[each.action]}{_in_brackets(each.changes)}"
        for each in written.segments
        if each.action in VERBS_OF_SEGMENTS
    ]
    return segments + [line_of(flag) for flag in written.flags if flag.action is not Action.NONE]


def lines_about(remarks: Sequence[Remark]) -> list[str]:
    """Return a line for each remark of an import."""
    return [
        f"{each.flag}{'' if each.is_imported else ' is left out'} ({each.issue}): {each.detail}" for each in remarks
    ]


def line_of(flag: WrittenFlag) -> str:
    """Return the line about one flag."""
    return f"{flag.key} {VERBS[flag.action]}{_in_brackets(flag.changes)}"


def _in_brackets(changes: Sequence[FieldChange]) -> str:
    said = "; ".join(f"{each.name}: {value_in_words(each.before)} → {value_in_words(each.after)}" for each in changes)
    return f" ({said})" if said else ""
