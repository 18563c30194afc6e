"""Targeting rules, as evaluation reads them from a definition.

The rules of a flag are in an order, and the first rule that matches decides. A rule matches if all its clauses match. A
clause matches if one of its values does; if its attribute is an array, one of the elements has to match. If its
attribute is missing or null, a clause does not match, also with `negate`; so `exists` with `negate` is the only way to
ask for absence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flags.evaluation.rollout import BUCKETS
from flags.targeting.attributes import TARGETING_KEY, Attributes, getter
from flags.targeting.operators import OPERATORS, Test, WrongValue

IN_SUBTREE, LEVEL = "inSubtree", "level"
IN_SEGMENT = "inSegment"
"""The operator that asks for segments instead of an attribute."""
OF_THE_TREE = frozenset({IN_SUBTREE, LEVEL})
"""The operators that ask for the place of the organization instead of an attribute."""
ORGANIZATION, ANCESTOR = "organization", "ancestor"
"""What a rollout can count beside the targeting key and attributes."""
BUCKETS_OF_ONE_PER_CENT = BUCKETS // 100
Keys = Sequence[str]
"""The keys of the organizations on a path, root first; empty if the evaluation has no organization."""
ClauseTest = Callable[[Attributes, str, Keys], bool]


@dataclass(frozen=True)
class Clause:
    """One condition of a rule. `attribute` is empty for the operators that ask for something else.

    `segments` are those of the `values` of the operator `inSegment` that exist (`flags.targeting.segments`).
    """

    attribute: str
    op: str
    values: tuple[Any, ...] = ()
    negate: bool = False
    ignore_case: bool = False
    segments: tuple[EvaluatedSegment, ...] = ()

    @property
    def reads(self) -> set[str]:
        """The attributes of the context that the clause reads, without the targeting key."""
        if self.op == IN_SEGMENT:
            return {name for segment in self.segments for name in segment.reads}
        return set() if self.op in OF_THE_TREE or self.attribute == TARGETING_KEY else {self.attribute}

    @property
    def depends_on_user(self) -> bool:
        """Whether it can say something else to two users of one organization."""
        if self.op == IN_SEGMENT:
            return any(segment.depends_on_user for segment in self.segments)
        return self.op not in OF_THE_TREE

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the keys of the organizations above."""
        return self.op in OF_THE_TREE or any(segment.asks_for_path for segment in self.segments)

    @cached_property
    def why_never(self) -> str:
        """Why the clause matches nobody: this version of Flagsite does not know what it asks for. Empty otherwise."""
        if self.op in OF_THE_TREE:
            return ""
        if self.op == IN_SEGMENT:
            known = {segment.key for segment in self.segments}
            missing = [key for key in self.values if key not in known]
            return f"There is no segment {missing[0]!r}." if missing and (self.negate or not known) else ""
        if self.op not in OPERATORS:
            return f"The operator {self.op!r} is unknown."
        try:
            OPERATORS[self.op].prepare(self.values, self.ignore_case)
        except WrongValue as error:
            return f"A value is not {error}."
        return ""

    def compared(self, attributes: Attributes, targeting_key: str, keys: Keys) -> Any:
        """Return the value that the clause looks at; None if there is none."""
        if self.op == IN_SUBTREE:
            return list(keys) or None
        if self.op == LEVEL:
            return len(keys) - 1 if keys else None
        if self.op == IN_SEGMENT:
            return [segment.key for segment in self.segments if segment.test(attributes, targeting_key, keys)]
        if self.attribute == TARGETING_KEY:
            return targeting_key or None
        return getter(self.attribute)(attributes)

    @cached_property
    def test(self) -> ClauseTest:
        """The function that says whether the clause matches."""
        negate = self.negate
        if self.why_never:
            return lambda attributes, targeting_key, keys: False
        if self.op == IN_SUBTREE:
            tops = frozenset(self.values)
            return lambda attributes, targeting_key, keys: bool(keys) and tops.isdisjoint(keys) is negate
        if self.op == LEVEL:
            levels = frozenset(self.values)
            return lambda attributes, targeting_key, keys: bool(keys) and (len(keys) - 1 in levels) is not negate
        if self.op == IN_SEGMENT:
            tests = tuple(segment.test for segment in self.segments)
            return lambda attributes, targeting_key, keys: (
                any(test(attributes, targeting_key, keys) for test in tests) is not negate
            )
        if self.op == "exists":
            read = getter(self.attribute)
            if self.attribute == TARGETING_KEY:
                return lambda attributes, targeting_key, keys: bool(targeting_key) is not negate
            return lambda attributes, targeting_key, keys: (read(attributes) is not None) is not negate
        return self._compared_test(OPERATORS[self.op].prepare(self.values, self.ignore_case))

    def _compared_test(self, test: Test) -> ClauseTest:
        """The same for an operator that compares an attribute."""
        name, negate = self.attribute, self.negate
        if name == TARGETING_KEY:
            return lambda attributes, targeting_key, keys: bool(targeting_key) and test(targeting_key) is not negate
        read = getter(name) if "." in name else None

        def compare(attributes: Attributes, targeting_key: str, keys: Keys) -> bool:
            value = attributes.get(name) if read is None else read(attributes)
            if value is None:
                return False
            if isinstance(value, list | tuple):
                return any(each is not None and test(each) for each in value) is not negate
            return test(value) is not negate

        return compare


@dataclass(frozen=True)
class SegmentRule:
    """One rule of a segment: it matches if all of its clauses do."""

    id: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class EvaluatedSegment:
    """A segment as evaluation reads it: who is in it.

    The included targeting keys are in it, the excluded ones are not, and of all others those are whom a rule matches.
    `revision` tells this content from every other one of the same segment.
    """

    key: str
    revision: str
    included: tuple[str, ...] = field(default=(), repr=False)
    excluded: tuple[str, ...] = field(default=(), repr=False)
    rules: tuple[SegmentRule, ...] = ()

    @cached_property
    def test(self) -> ClauseTest:
        """The function that says whether somebody is in the segment."""
        included, excluded = frozenset(self.included), frozenset(self.excluded)
        rules = tuple(tuple(clause.test for clause in rule.clauses) for rule in self.rules)

        def is_in(attributes: Attributes, targeting_key: str, keys: Keys) -> bool:
            if targeting_key in included:
                return True
            if targeting_key in excluded:
                return False
            for tests in rules:
                for test in tests:
                    if not test(attributes, targeting_key, keys):
                        break
                else:
                    return True
            return False

        return is_in

    @property
    def reads(self) -> set[str]:
        """The attributes of the context that its rules read, without the targeting key."""
        return {name for clause in self._clauses for name in clause.reads}

    @property
    def depends_on_user(self) -> bool:
        """Whether two users of one organization can differ."""
        return bool(self.included or self.excluded) or any(clause.depends_on_user for clause in self._clauses)

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the keys of the organizations above."""
        return any(clause.asks_for_path for clause in self._clauses)

    @property
    def _clauses(self) -> list[Clause]:
        return [clause for rule in self.rules for clause in rule.clauses]


@dataclass(frozen=True, slots=True)
class RuleRollout:
    """A rule that turns the flag on for a part of those that it matches: for the buckets below `threshold`.

    `by` is `targetingKey`, `organization`, `ancestor` (at a `level`), or the name of an attribute.
    """

    threshold: int
    by: str = TARGETING_KEY
    level: int | None = None

    @property
    def reads(self) -> str:
        """The attribute of the context that the rollout reads. Empty if it reads none, or the targeting key."""
        return "" if self.by in (TARGETING_KEY, ORGANIZATION, ANCESTOR) else self.by

    def unit(self, attributes: Attributes, targeting_key: str, keys: Keys) -> str:
        """Return the unit that is counted; empty if there is none, so that the rule does not match."""
        if self.by == TARGETING_KEY:
            return targeting_key
        if self.by in (ORGANIZATION, ANCESTOR):
            if not keys:
                return ""
            return keys[-1] if self.level is None or self.level >= len(keys) else keys[self.level]
        return unit_of(getter(self.by)(attributes))


def unit_of(value: Any) -> str:
    """Return a value of an attribute as a unit of a rollout: a text, or a whole number in digits; else nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


@dataclass(frozen=True, slots=True)
class TargetingRule:
    """One rule: for whom it counts, and what it says: on, off, a variant, or a rollout (then `enabled` is None).

    `variant` is the key of the variant that it serves, empty for a rollout. A boolean flag goes by `enabled` alone.
    """

    id: str
    clauses: tuple[Clause, ...]
    enabled: bool | None
    rollout: RuleRollout | None = None
    variant: str = ""

    def matches(self, attributes: Attributes, targeting_key: str, keys: Keys) -> bool:
        """Return whether all clauses match."""
        return all(clause.test(attributes, targeting_key, keys) for clause in self.clauses)

    @property
    def reads(self) -> set[str]:
        """The attributes of the context on which the rule depends, without the targeting key."""
        names = {name for clause in self.clauses for name in clause.reads}
        return (names | {self.rollout.reads if self.rollout else ""}) - {""}

    @property
    def depends_on_user(self) -> bool:
        """Whether it can say something else to two users of one organization."""
        by_user = self.rollout is not None and self.rollout.by not in (ORGANIZATION, ANCESTOR)
        return by_user or any(clause.depends_on_user for clause in self.clauses)

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the keys of the organizations above."""
        by_ancestor = self.rollout is not None and self.rollout.by == ANCESTOR
        return by_ancestor or any(clause.asks_for_path for clause in self.clauses)

    def can_match(self, keys: Keys) -> bool:
        """Return whether it matches some user of an organization, as far as the place in the tree decides."""
        return all(clause.test({}, "", keys) for clause in self.clauses if not clause.depends_on_user)


def unit_bytes(unit: str) -> bytes:
    """Return a unit in UTF-8, for the hash. Clients cut texts between the two halves of an emoji, which stay halves."""
    return unit.encode(errors="surrogatepass")


def rules_of(content: Any) -> tuple[TargetingRule, ...]:
    """Read the rules in the JSON of a definition. Nothing is raised: what cannot be read matches nobody."""
    found = (_rule(each) for each in content) if isinstance(content, list) else ()
    return tuple(rule for rule in found if rule is not None)


def _rule(content: Any) -> TargetingRule | None:
    if not isinstance(content, Mapping) or not isinstance(content.get("serve"), Mapping):
        return None
    clauses = content.get("clauses")
    if not isinstance(clauses, list) or not all(isinstance(each, Mapping) for each in clauses):
        return None
    serve, rule_id = content["serve"], str(content.get("id", ""))
    made = tuple(_clause(each) for each in clauses)
    if "variant" in serve:
        return TargetingRule(rule_id, made, serve["variant"] == "on", variant=str(serve["variant"]))
    weights = serve.get("rollout")
    weight = weights.get("on", 0) if isinstance(weights, Mapping) else None
    if not isinstance(weight, int | float):
        return None
    threshold = round(weight * BUCKETS_OF_ONE_PER_CENT)
    return TargetingRule(
        rule_id, made, None, RuleRollout(threshold, serve.get("by", TARGETING_KEY), serve.get("level"))
    )


def segment_rules_of(content: Any) -> tuple[SegmentRule, ...]:
    """Read the rules in the JSON of a segment. Nothing is raised: what cannot be read matches nobody."""
    found = [each for each in content if isinstance(each, Mapping)] if isinstance(content, list) else []
    clauses = [(str(each.get("id", "")), each.get("clauses")) for each in found]
    return tuple(
        SegmentRule(rule_id, tuple(_clause(each) for each in listed))
        for rule_id, listed in clauses
        if isinstance(listed, list) and listed and all(isinstance(each, Mapping) for each in listed)
    )


def _clause(content: Mapping[str, Any]) -> Clause:
    values = content.get("values", [])
    return Clause(
        attribute=str(content.get("attribute", "")),
        op=str(content.get("op", "")),
        values=tuple(values) if isinstance(values, list) else (),
        negate=content.get("negate") is True,
        ignore_case=content.get("ignoreCase") is True,
    )
