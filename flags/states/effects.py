"""The effect of a change on the values of a subtree, from the settings before and after it: how many organizations.

The functions are pure, and cost O(settings) and not O(organizations): all organizations between two settings agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flags.states.setting_rules import NONE, DecidedValue, PlacedSetting, decide


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


def effect_of(parts: Sequence[Part], *, default: bool, ended: int) -> Effect:
    """Add up the parts of a subtree. `default` is the flag's default, `ended` the number of settings that end."""

    def value(decided: DecidedValue) -> bool:
        return default if decided.enabled is None else decided.enabled

    def total(chosen: Iterator[Part]) -> int:
        return sum(part.size for part in chosen)

    return Effect(
        organizations=total(iter(parts)),
        changed=total(part for part in parts if value(part.before) != value(part.after)),
        own=total(part for part in parts[1:] if part.has_own_setting and _decides_itself(part)),
        masked=total(part for part in parts[1:] if part.has_own_setting and not _decides_itself(part)),
        ended=ended,
        locked=total(part for part in parts if part.after.locked),
    )


def _decides_itself(part: Part) -> bool:
    return part.after.source_id == part.organization_id


def without(setting: PlacedSetting) -> PlacedSetting:
    """Return the setting as it is after its end."""
    return replace(setting, kind=NONE, enabled=None, only_here=False, exempt_from_id=None)
