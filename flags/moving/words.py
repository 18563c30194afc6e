"""What is done with the flags of a file, in words for pages and commands."""

from __future__ import annotations

from collections.abc import Sequence

from flags.definitions.plan_words import value_in_words
from flags.moving.issues import Remark
from flags.moving.writing import Action, Written, WrittenFlag
from flagsite.core.words import counted

VERBS = {Action.CREATE: "is defined", Action.CHANGE: "is changed", Action.ARCHIVE: "is archived"}

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
    return f"{counted(len(written.flags), 'flag')}: {parts}."


def lines_of(written: Written) -> list[str]:
    """Return a line for each flag that changes, with what differs."""
    return [line_of(flag) for flag in written.flags if flag.action is not Action.NONE]


def lines_about(remarks: Sequence[Remark]) -> list[str]:
    """Return a line for each remark of an import."""
    return [
        f"{each.flag}{'' if each.is_imported else ' is left out'} ({each.issue}): {each.detail}" for each in remarks
    ]


def line_of(flag: WrittenFlag) -> str:
    """Return the line about one flag."""
    changes = "; ".join(
        f"{each.name}: {value_in_words(each.before)} → {value_in_words(each.after)}" for each in flag.changes
    )
    return f"{flag.key} {VERBS[flag.action]}" + (f" ({changes})" if changes else "")
