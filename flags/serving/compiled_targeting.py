"""The targeting rules of flags, made ready: those of one flag, and those of many flags that are evaluated together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import Resolution
from flags.targeting.attributes import Attributes
from flags.targeting.rule_index import RuleIndex
from flags.targeting.rule_rollouts import RuleRollout, unit_bytes
from flags.targeting.rules import ClauseTest, TargetingRule

RULES_OF_AN_INDEX = 256
"""About how many rules one index of many flags has. More would need longer numbers for each value of an attribute."""


@dataclass(slots=True, eq=False)
class CompiledRollout:
    """The rollout of a targeting rule."""

    rollout: RuleRollout
    hash: Callable[[bytes], int]
    prefix: bytes
    limit: int
    inside: Resolution
    outside: Resolution

    def decide(self, unit: str) -> Resolution:
        """The resolution of the bucket of a unit."""
        return self.inside if self.hash(self.prefix + unit_bytes(unit)) < self.limit else self.outside


@dataclass(slots=True, eq=False)
class CompiledWeights:
    """The rollout by weight of a targeting rule: below each limit, on the scale of the hash, another resolution."""

    rollout: RuleRollout
    hash: Callable[[bytes], int]
    prefix: bytes
    limits: Sequence[int]
    resolutions: Sequence[Resolution]

    def decide(self, unit: str) -> Resolution:
        """The resolution of the bucket of a unit."""
        return self.resolutions[bisect_right(self.limits, self.hash(self.prefix + unit_bytes(unit)))]


Outcome = Resolution | CompiledRollout | CompiledWeights
"""What a targeting rule says to those whom it matches."""


class CompiledTargeting:
    """The targeting rules of one flag, which are the same for every value of an organization.

    `outcomes` has what each rule says.
    """

    __slots__ = ("_tests", "outcomes", "rules")

    def __init__(self, rules: Sequence[TargetingRule], outcomes: Sequence[Outcome]) -> None:
        self.rules = rules
        self.outcomes = outcomes
        self._tests: list[tuple[Sequence[ClauseTest], Outcome]] | None = None

    def decide(self, attributes: Attributes, targeting_key: str, snapshot: OrganizationSnapshot) -> Resolution | None:
        """The resolution of the first rule that matches, and whose rollout has its unit; None if there is none."""
        if self._tests is None:
            self._tests = list(zip((rule.tests for rule in self.rules), self.outcomes, strict=True))
        for tests, found in self._tests:
            for test in tests:
                if not test(attributes, targeting_key, snapshot):
                    break
            else:
                if isinstance(found, Resolution):
                    return found
                unit = found.rollout.unit(attributes, targeting_key, snapshot)
                if unit:
                    return found.decide(unit)
        return None


@dataclass(slots=True, eq=False)
class IndexedFlags:
    """The targeting rules of some flags in one index; the last rule of a flag comes first.

    By the number of a rule, `flags` has the place of its flag among all flags, `outcomes` what it says, and `before`
    all rules with lower numbers of other flags, as bits.
    """

    index: RuleIndex
    flags: Sequence[int]
    outcomes: Sequence[Outcome]
    before: Sequence[int]

    @classmethod
    def of(cls, places: Sequence[tuple[int, CompiledTargeting]]) -> IndexedFlags:
        """The rules of flags, each with its place."""
        flags: list[int] = []
        outcomes: list[Outcome] = []
        before: list[int] = []
        for place, targeting in places:
            before += [(1 << len(flags)) - 1] * len(targeting.rules)
            flags += [place] * len(targeting.rules)
            outcomes += reversed(targeting.outcomes)
        index = RuleIndex(rule.clauses for _, targeting in places for rule in reversed(targeting.rules))
        return cls(index, flags, outcomes, before)

    def rules_of(self, places: Iterable[int]) -> int:
        """The rules of those of its flags that have these places, as bits."""
        wanted = set(places)
        return sum(1 << number for number, place in enumerate(self.flags) if place in wanted)

    def first_matches(
        self, wanted: int, snapshot: OrganizationSnapshot, targeting_key: str, attributes: Attributes
    ) -> list[tuple[int, Outcome]]:
        """The place of each flag of which a rule matches, and what the first one says. `wanted` has rules as bits."""
        index, flags, outcomes, before = self.index, self.flags, self.outcomes, self.before
        candidates = index.candidates(attributes, targeting_key, snapshot)
        left = candidates & wanted
        found: list[tuple[int, Outcome]] = []
        while left:
            number = left.bit_length() - 1
            for test in index.rest[number]:
                if not test(attributes, targeting_key, snapshot, candidates):
                    left ^= 1 << number
                    break
            else:
                found.append((flags[number], outcomes[number]))
                left &= before[number]
        return found


def indexed(
    places: Iterable[tuple[int, CompiledTargeting]], rules_of_an_index: int = RULES_OF_AN_INDEX
) -> list[IndexedFlags]:
    """Return indexes of the rules of flags, each given with its place among all flags."""
    found: list[IndexedFlags] = []
    group: list[tuple[int, CompiledTargeting]] = []
    count = 0
    for each in places:
        group.append(each)
        count += len(each[1].rules)
        if count >= rules_of_an_index:
            found.append(IndexedFlags.of(group))
            group, count = [], 0
    return [*found, IndexedFlags.of(group)] if group else found
