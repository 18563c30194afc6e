"""What settings decide: the value of one flag for an organization, and for each part of a subtree.

These functions are pure. They are the rule of the tree: the topmost lock on the path that no exemption lifts decides;
else the nearest setting; else nothing, and the flag's default counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from flags.values.variants import BY_ENABLED

SET, LOCK, NONE = "set", "lock", "none"
"""The kinds of settings (`flags.states.models.FlagSetting.Kind`)."""
LIVE_KINDS = [SET, LOCK]
SETTING_KINDS = [*LIVE_KINDS, NONE]


class Below(StrEnum):
    """What a set does to the settings below it."""

    KEEP = "keep"
    """They stay, and count before the new one."""
    OVERWRITE = "overwrite"
    """They end."""
    LOCK = "lock"
    """They stay, and do not count until the lock is gone."""


@dataclass(frozen=True, slots=True)
class DecidedValue:
    """What settings decide about a flag. `enabled` and `source_id` are None if they say nothing.

    `source_id` is the organization whose setting decides, and `number` the highest change number on the path.
    `locked` says whether a lock decides, so that nothing but the definition can change the value for some users.
    `variant` is the number of a variant or custom value, or 0 (`flags.values.variants`).
    """

    flag_id: int
    enabled: bool | None
    source_id: int | None
    number: int
    locked: bool = False
    variant: int = BY_ENABLED


@dataclass(frozen=True, slots=True)
class PlacedSetting:
    """A setting of one flag, with the place of its organization in the tree.

    `start` and `end` are the numbers of the nested set, and `size` is the number of organizations at and below it. A
    setting on or above the top of a subtree needs none of them.
    """

    flag_id: int
    organization_id: int
    kind: str
    enabled: bool | None
    source_id: int
    number: int
    only_here: bool = False
    exempt_from_id: int | None = None
    variant: int = BY_ENABLED
    start: int = 0
    end: int = 0
    size: int = 0


def decide(flag_id: int, path: Sequence[PlacedSetting], at: int | None) -> DecidedValue:
    """Return what the settings of a path decide for the organization `at`, or for one without a setting if it is None.

    `path` has the settings of one flag, from the root down. A lifted lock counts as an ordinary setting.
    """
    number = max((setting.number for setting in path), default=0)
    lock = deciding_lock(path)
    if lock is not None:
        return DecidedValue(flag_id, lock.enabled, lock.source_id, number, locked=True, variant=lock.variant)
    for setting in reversed(path):
        if setting.kind != NONE and (not setting.only_here or setting.organization_id == at):
            return DecidedValue(flag_id, setting.enabled, setting.source_id, number, variant=setting.variant)
    return DecidedValue(flag_id, None, None, number)


def deciding_lock(path: Sequence[PlacedSetting]) -> PlacedSetting | None:
    """Return the topmost lock of a path that no exemption lifts; None if there is none.

    An exemption below a lock lifts the lock that it names, and the locks between this one and its organization.
    """
    for index, lock in enumerate(path):
        if lock.kind == LOCK:
            locks_from_top = {each.organization_id for each in path[: index + 1] if each.kind == LOCK}
            if not any(below.exempt_from_id in locks_from_top for below in path[index + 1 :]):
                return lock
    return None


def lock_to_lift(path: Sequence[PlacedSetting], organization_id: int) -> PlacedSetting | None:
    """Return the lock that would hold for the bottom of a path without its own exemption; None if none above would."""
    without = [replace(each, exempt_from_id=None) if each.organization_id == organization_id else each for each in path]
    lock = deciding_lock(without)
    return None if lock is None or lock.organization_id == organization_id else lock


@dataclass(frozen=True, slots=True)
class Piece:
    """The organizations of a subtree from `start` to the next piece, in the numbers of the nested set: they agree."""

    start: int
    value: DecidedValue


def pieces_of(
    flag_id: int, path: Sequence[PlacedSetting], below: Iterable[PlacedSetting], *, top_id: int, start: int
) -> list[Piece]:
    """Return the pieces of a subtree, in the order of the tree: for each, what the settings decide.

    `path` has the settings from the root down to the top of the subtree, `below` those strictly below it, ordered by
    their start. `start` is the number at which the subtree starts.
    """
    pieces: list[Piece] = []
    open_settings = list(path)

    def begin(at: int, organization_id: int | None) -> None:
        value = decide(flag_id, open_settings, organization_id)
        while pieces and pieces[-1].start >= at:
            pieces.pop()
        if not pieces or pieces[-1].value != value:
            pieces.append(Piece(at, value))

    begin(start, top_id)
    if path and path[-1].organization_id == top_id and path[-1].only_here:
        begin(start + 1, None)
    for setting in below:
        while len(open_settings) > len(path) and open_settings[-1].end < setting.start:
            begin(open_settings.pop().end + 1, None)
        open_settings.append(setting)
        begin(setting.start, setting.organization_id)
        if setting.only_here:
            begin(setting.start + 1, None)
    while len(open_settings) > len(path):
        begin(open_settings.pop().end + 1, None)
    return pieces


def is_live(setting: PlacedSetting) -> bool:
    """Return whether the setting says something that a change can end."""
    return setting.kind != NONE or setting.exempt_from_id is not None
