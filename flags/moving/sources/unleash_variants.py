"""Features of Unleash with variants, as typed flags.

A feature that is on for a user gives the variant of the first strategy that says so and has variants, and else one of
the variants of the feature. Variants count by another hash than strategies do. Where the feature is off, there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue, NoEqual
from flags.moving.sources.conditions import Condition, asks, limited, rules_of, typed
from flags.moving.sources.shares import Range, Shares, Step, in_buckets, in_order
from flags.moving.sources.unleash_constraints import Note, attribute_of
from flags.targeting.attributes import TARGETING_KEY
from flags.values.checks import VARIANT_KEY

UNLEASH_HASH, VARIANTS_HASH = 2, 3
WHOLE = 1_000
"""The sum of the weights of variants, as the admin pages of Unleash write them."""
ALL = 100
"""Per cent."""
RANDOM, DEFAULT = "random", "default"
Variants = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy: the percentage of those for whom its condition is true, and what it counts with which salt."""

    percentage: float
    by: str
    salt: str
    condition: Condition
    title: str
    stickiness: str
    variants: Variants


class VariantsOf:
    """The variants of one feature: those of its own, and those of its strategies."""

    def __init__(self, name: str, own: Variants, strategies: Sequence[Strategy], note: Note) -> None:
        self._name, self._own, self._strategies, self._note = name, own, strategies, note
        listed = {str(each["name"]): each for lists in (own, *(one.variants for one in strategies)) for each in lists}
        are_keys = all(VARIANT_KEY.fullmatch(each) for each in listed)
        numbered = {each: f"variant-{place}" for place, each in enumerate(listed, 1)}
        self._keys = {each: each for each in listed} if are_keys else numbered
        self._values = {each: _payload(variant) for each, variant in listed.items()}
        if any(_payload(each) != self._values[str(each["name"])] for one in strategies for each in one.variants):
            raise NoEqual(Issue.VALUE, "Two variants of strategies have the same name and different payloads.")

    def content(self) -> dict[str, Any]:
        """Return the fields of a typed flag. Raises NoEqual."""
        if self._own and any(one.variants for one in self._strategies):
            raise NoEqual(Issue.WEIGHTS, "The feature has variants, and so have its strategies.")
        rules = self._overrides()
        steps: list[Step] = []
        rest: dict[str, Any] = {"enabled": False, "rolloutPercentage": None}
        for place, one in enumerate(self._strategies):
            if not one.condition:
                continue
            outcome = self._outcome(one)
            if one.percentage >= ALL:
                steps.append(Step(one.condition, outcome, one.title))
                if isinstance(outcome, Shares):  # without what they count, Unleash gives any of them
                    steps.append(Step(one.condition, str(outcome.ranges[0][0]), one.title))
            elif not _is_for_all(one.condition) or (one.variants and place < len(self._strategies) - 1):
                raise NoEqual(Issue.VALUE, "Who is outside of the rollout of a strategy gets no value.")
            elif rest["rolloutPercentage"] is None or one.percentage > rest["rolloutPercentage"]:
                rest = self._gradual(one, outcome)
        found, last = in_order(steps, None, is_boolean=False)
        if last is not None:
            rest = {"enabled": True, "rolloutPercentage": None, "defaultVariant": last}
        values = [(self._keys[name], value) for name, value in self._values.items()]
        return {**typed(values), **rest, "offVariant": None, "rules": limited([*rules, *found])}

    def _gradual(self, one: Strategy, outcome: Shares | str) -> dict[str, Any]:
        """Return the rollout of a flag for a strategy that is on for a part of all."""
        if one.by != TARGETING_KEY:
            raise NoEqual(Issue.UNIT, f"A rollout of all counts {one.by!r}.")
        made = {"enabled": True, "rolloutPercentage": one.percentage, "salt": one.salt, "hashVersion": UNLEASH_HASH}
        if isinstance(outcome, str):
            return made | {"defaultVariant": outcome}
        first = str(outcome.ranges[0][0])
        return made | {"defaultVariant": first, "defaultRollout": outcome.serve(is_boolean=False)}

    def _outcome(self, one: Strategy) -> Shares | str:
        """Return the shares of the variants of a strategy or of the feature, or the only variant."""
        listed = [each for each in one.variants or self._own if each.get("weight")]
        if len(listed) == 1:
            return self._keys[str(listed[0]["name"])]
        total = sum(int(each["weight"]) for each in listed)
        if not total or WHOLE % total:
            raise NoEqual(Issue.WEIGHTS, "The sum of the weights of variants does not divide 1,000, or there are none.")
        by = str((one.variants or self._own)[0].get("stickiness") or DEFAULT)
        if one.variants and by != one.stickiness:
            detail = "A strategy and its variants have different stickiness, which SDKs of Unleash treat differently."
            raise NoEqual(Issue.UNIT, detail)
        if by == RANDOM:
            raise NoEqual(Issue.UNIT, "Variants count by chance, and not by user.")
        chance = "the session, or chance," if by == DEFAULT else "chance"
        self._note(Issue.STICKINESS, f"Where what variants count is missing, {chance} decides in Unleash.")
        ranges: list[Range] = []
        below = 0
        for each in listed * (WHOLE // total):  # a number modulo 100 is its number modulo 1,000 modulo 100
            below += int(each["weight"]) * BUCKETS // WHOLE
            ranges.append((self._keys[str(each["name"])], below))
        salt = one.salt if one.variants else self._name
        return in_buckets(ranges, TARGETING_KEY if by == DEFAULT else attribute_of(by), salt, VARIANTS_HASH)

    def _overrides(self) -> list[dict[str, Any]]:
        """Return the rules of users who get a certain variant. They count where the feature is on."""
        overrides = [(each, one) for each in self._own for one in each.get("overrides") or [] if one.get("values")]
        if overrides and not any(one.percentage >= ALL and [] in one.condition for one in self._strategies):
            raise NoEqual(Issue.FALL_THROUGH, "A variant overrides others, and the feature is on for a part only.")
        return [
            rule
            for each, one in overrides
            for rule in rules_of(
                asks(attribute_of(str(one["contextName"])), "in", [str(value) for value in one["values"]]),
                {"variant": self._keys[str(each["name"])]},
                f"Override of {each['name']}",
            )
        ]


def _is_for_all(condition: Condition) -> bool:
    """Return whether a condition is true for everybody who has a targeting key."""
    return [] in condition or condition == asks(TARGETING_KEY, "exists")


def _payload(variant: Mapping[str, Any]) -> Any:
    """Return the value of a variant: that of its payload, or its name."""
    payload = variant.get("payload")
    if not payload:
        return str(variant["name"])
    kind, text = str(payload.get("type") or "string"), payload["value"]
    if kind == "json":
        return json.loads(text)
    if kind == "number":
        number = float(text)
        return int(number) if number.is_integer() else number
    if kind not in ("string", "csv"):
        raise NoEqual(Issue.VALUE, f"Flagsite has no payload of the type {kind!r}.")
    return str(text)
