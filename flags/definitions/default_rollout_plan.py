"""What a change of a definition does by the default rollout: how many units get the value of another variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flags.evaluation.rollout import BUCKETS, salt_of_default_rollout
from flags.targeting.rule_rollouts import ANCESTOR, ORGANIZATION, RuleRollout, default_rollout_of
from flags.values.checks import canonical_json

ALWAYS_THERE = frozenset({ORGANIZATION, ANCESTOR})
"""The units that every organization has."""


class Moved(NamedTuple):
    """The fraction of the organizations in which some get another value, and whether this is only an expectation."""

    fraction: float
    is_expected: bool


def moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> Moved:
    """Return what happens where the flag is on and nothing else has chosen a variant.

    The arguments have all definition fields before and after the change, by the names of the model.
    """
    sides = [_Side.of(before), _Side.of(after)]
    rollouts = [side.rollout for side in sides if side.rollout is not None]
    if not rollouts:
        return Moved(0.0, is_expected=False)
    of_units = _fraction_of_units(*sides)
    if of_units:
        by_users = any(not rollout.is_of_place for rollout in rollouts)
        return Moved(1.0, is_expected=False) if by_users else Moved(of_units, is_expected=True)
    is_moved = sides[0].default != sides[1].default  # for those without the unit, if there are any
    by_others = any(rollout.by not in ALWAYS_THERE for rollout in rollouts)
    return Moved(1.0 if is_moved and by_others else 0.0, is_expected=True)


class _Side(NamedTuple):
    """The default rollout before or after a change, the values in its ranges, and the value of the default variant."""

    rollout: RuleRollout | None
    formula: tuple[object, ...]
    ranges: tuple[tuple[str, int], ...]
    default: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Side:
        texts = {each["key"]: canonical_json(each["value"]) for each in values["variants"]}
        default = texts.get(values["default_variant"], "")
        rollout = default_rollout_of(values["default_rollout"])
        if rollout is None:
            return cls(None, (), ((default, BUCKETS),), default)
        salt = salt_of_default_rollout(values["salt"]) if rollout.salt is None else rollout.salt
        version = values["hash_version"] if rollout.hash_version is None else rollout.hash_version
        ranges = tuple((texts.get(variant, default), end) for variant, end in rollout.ranges)
        return cls(rollout, (salt, version, rollout.by, rollout.level), ranges, default)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of buckets of each value."""
        found: dict[str, int] = {}
        for (value, end), start in zip(self.ranges, (0, *(end for _, end in self.ranges)), strict=False):
            found[value] = found.get(value, 0) + end - start
        return found


def _fraction_of_units(one: _Side, other: _Side) -> float:
    """Return the fraction of the units that get another value. Other buckets than before are independent of those."""
    if one.rollout is not None and other.rollout is not None and one.formula != other.formula:
        sizes, others = one.sizes, other.sizes
        same = sum(size * others.get(value, 0) for value, size in sizes.items()) / BUCKETS**2
        return 1 - same
    moved_buckets, at, places = 0, 0, [0, 0]
    while at < BUCKETS:
        ranges = [side.ranges[place] for side, place in zip((one, other), places, strict=True)]
        end = min(end for _, end in ranges)
        moved_buckets += end - at if ranges[0][0] != ranges[1][0] else 0
        at = end
        places = [place + (reached == end) for place, (_, reached) in zip(places, ranges, strict=True)]
    return moved_buckets / BUCKETS
