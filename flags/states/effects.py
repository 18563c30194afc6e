"""The effect of a change on the values of a subtree, from the settings before and after it: how many organizations.

The functions are pure, and cost O(settings) and not O(organizations): all organizations between two settings agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from flags.definitions.models import Flag
from flags.states.setting_rules import NONE, DecidedValue, Piece, PlacedSetting, decide
from flags.values.variants import BY_ENABLED
from flagsite.core.ids import MAX_ID


@dataclass(frozen=True, slots=True)
class Part:
    """Organizations of a subtree that agree before and after a change.

    `organization_id` is the organization with the nearest setting, or the top. `is_itself` says that the part is this
    organization alone; otherwise it is everything below it down to the next settings.
    """

    organization_id: int
    is_itself: bool
    size: int
    before: DecidedValue
    after: DecidedValue
    has_own_setting: bool
    """The organization has a setting of its own after the change."""


def parts_of(
    flag_id: int,
    before: tuple[Sequence[PlacedSetting], Sequence[PlacedSetting]],
    after: tuple[Sequence[PlacedSetting], Sequence[PlacedSetting]],
    *,
    top_id: int,
    size: int,
) -> Iterator[Part]:
    """Yield the parts of a subtree, in no order that counts.

    `before` and `after` have the settings on the path down to the top, and those below it in the order of the tree. The
    same organizations have settings below, before and after; one that has none any more has the kind `none`.
    """
    path_before, path_after = [list(path) for path in (before[0], after[0])]
    lefts = [size - 1]
    """For each open subtree: its organizations below the top that belong to no setting further down."""
    tops: list[PlacedSetting | None] = [None]

    def itself(organization_id: int, own: PlacedSetting | None) -> Part:
        values = decide(flag_id, path_before, organization_id), decide(flag_id, path_after, organization_id)
        return Part(organization_id, True, 1, *values, _is_set(own))  # noqa: FBT003 - the field is `is_itself`

    def rest() -> Iterator[Part]:
        left, top = lefts[-1], tops[-1]
        if left:
            values = decide(flag_id, path_before, None), decide(flag_id, path_after, None)
            yield Part(top.organization_id if top else top_id, False, left, *values, False)  # noqa: FBT003 - as above

    def close() -> Iterator[Part]:
        yield from rest()
        lefts.pop()
        tops.pop()
        path_before.pop()
        path_after.pop()

    yield itself(top_id, next((each for each in after[0] if each.organization_id == top_id), None))
    for old, new in zip(before[1], after[1], strict=True):
        while len(tops) > 1 and (tops[-1] or old).end < old.start:
            yield from close()
        lefts[-1] -= old.size
        path_before.append(old)
        path_after.append(new)
        lefts.append(old.size - 1)
        tops.append(old)
        yield itself(old.organization_id, new)
    while len(tops) > 1:
        yield from close()
    yield from rest()


def _is_set(setting: PlacedSetting | None) -> bool:
    return setting is not None and setting.kind != NONE


class DefaultValue(NamedTuple):
    """What a definition says where settings say nothing: whether the flag is on, and the number of the variant then.

    The number is 0 if the flag is boolean.
    """

    enabled: bool
    variant: int = BY_ENABLED

    @classmethod
    def of(cls, flag: Flag) -> DefaultValue:
        """Return that of a flag. A default rollout serves no variant in particular."""
        numbers = {each["key"]: each["number"] for each in flag.variants}
        is_split = flag.default_rollout is not None
        return cls(flag.enabled, BY_ENABLED if is_split else numbers.get(flag.default_variant, BY_ENABLED))


@dataclass(frozen=True, slots=True)
class Effect:
    """How many organizations of a subtree a change gives another value, and what happens to their settings.

    Values are stored values; an organization without one has the flag's default. `own` organizations keep a setting of
    their own that decides for them. `masked` settings do not count, because a lock above decides. `ended` settings
    end. `locked` organizations have a lock above or on them that holds.
    """

    organizations: int
    changed: int
    own: int
    masked: int
    ended: int
    locked: int

    @property
    def unchanged(self) -> int:
        """The number of organizations that keep their value."""
        return self.organizations - self.changed


def effect_of(parts: Sequence[Part], *, default: DefaultValue, ended: int) -> Effect:
    """Add up the parts of a subtree. `default` is the flag's default, `ended` the number of settings that end."""

    def total(chosen: Iterator[Part]) -> int:
        return sum(part.size for part in chosen)

    return Effect(
        organizations=total(iter(parts)),
        changed=total(part for part in parts if differs(part.before, part.after, default=default)),
        own=total(part for part in parts[1:] if part.has_own_setting and not is_masked(part)),
        masked=total(part for part in parts[1:] if part.has_own_setting and is_masked(part)),
        ended=ended,
        locked=total(part for part in parts if part.after.locked),
    )


def differs(before: DecidedValue, after: DecidedValue, *, default: DefaultValue) -> bool:
    """Return whether two decided values are different, where the flag's default counts if nothing is decided."""
    return _answered(before, default) != _answered(after, default)


def effective(value: DecidedValue, *, default: DefaultValue) -> bool:
    """Return whether the flag is on by a decided value, or by the flag's default if nothing is decided."""
    return default.enabled if value.enabled is None else value.enabled


def _answered(value: DecidedValue, default: DefaultValue) -> tuple[bool, int]:
    """Return whether the flag is on, and the variant that it serves then; no variant in particular where it is off."""
    enabled = effective(value, default=default)
    return enabled, (value.variant or default.variant) if enabled else BY_ENABLED


def organizations_changed(
    of_flags: Sequence[tuple[DefaultValue, Sequence[Part]]], below: Sequence[PlacedSetting], *, top_id: int, size: int
) -> int:
    """Return how many organizations of a subtree get another value of at least one of several flags.

    `of_flags` has the default and the parts of each flag, and `below` the settings of all of them below the top.
    """
    here, itself, rest = (defaultdict[int, set[int]](set) for _ in range(3))
    for index, (default, parts) in enumerate(of_flags):
        for part in parts:
            if part.is_itself:
                here[part.organization_id].add(index)
            if differs(part.before, part.after, default=default):
                (itself if part.is_itself else rest)[part.organization_id].add(index)
    total = int(bool(itself[top_id]))
    open_subtrees = [(MAX_ID, size - 1, rest[top_id])]
    """For each: its end, its organizations below the top that belong to no setting, and the flags that change there."""
    places = {setting.organization_id: setting for setting in below}
    for place in sorted(places.values(), key=lambda place: place.start):
        while open_subtrees[-1][0] < place.start:
            _, left, changing = open_subtrees.pop()
            total += left if changing else 0
        end, left, changing = open_subtrees.pop()
        open_subtrees.append((end, left - place.size, changing))
        inherited = changing - here[place.organization_id]
        total += bool(inherited | itself[place.organization_id])
        open_subtrees.append((place.end, place.size - 1, inherited | rest[place.organization_id]))
    return total + sum(left for _, left, changing in open_subtrees if changing)


def changed_from(before: Sequence[Piece], after: Sequence[Piece], *, default: DefaultValue) -> list[tuple[int, bool]]:
    """Return the numbers of the nested set at which organizations begin, or cease, to get another value.

    `before` and `after` are the pieces of the same subtree (`flags.states.setting_rules.pieces_of`).
    """
    values = sorted(
        [*((piece.start, 0, piece.value) for piece in before), *((piece.start, 1, piece.value) for piece in after)],
        key=lambda each: each[:2],
    )
    both: list[DecidedValue | None] = [None, None]
    changes: list[tuple[int, bool]] = []
    for start, side, value in values:
        both[side] = value
        if both[0] is not None and both[1] is not None:
            if changes and changes[-1][0] == start:
                changes.pop()
            changes.append((start, differs(both[0], both[1], default=default)))
    return changes


def is_masked(part: Part) -> bool:
    """Return whether a lock above decides for the organization of a part, so that its own setting does not count."""
    return part.after.locked and part.after.source_id != part.organization_id


def without(setting: PlacedSetting) -> PlacedSetting:
    """Return the setting as it is after its end."""
    return replace(setting, kind=NONE, enabled=None, variant=BY_ENABLED, only_here=False, exempt_from_id=None)
