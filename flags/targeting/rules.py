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

from flags.targeting.attributes import TARGETING_KEY, Attributes, getter, name_of_organization
from flags.targeting.operators import OPERATORS, Test, WrongValue
from flags.targeting.places import Place
from flags.targeting.rule_rollouts import RuleRollout, rollout_of

IN_SUBTREE, LEVEL = "inSubtree", "level"
IN_SEGMENT = "inSegment"
"""The operator that asks for segments instead of an attribute."""
OF_THE_TREE = frozenset({IN_SUBTREE, LEVEL})
"""The operators that ask for the place of the organization instead of an attribute."""
COSTS = {"inCidr": 1, "matches": 2, IN_SEGMENT: 3}
"""Which tests cost more than others."""
ClauseTest = Callable[[Attributes, str, Place], bool]


SCALARS = (str, int, float, bool)
ARRAYS = (list, tuple)
"""The types of an attribute of which one of the elements has to match."""


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
        return set() if self._is_of_place or self.attribute == TARGETING_KEY else {self.attribute}

    @property
    def reads_of_organization(self) -> set[str]:
        """The names of the attributes of organizations that the clause reads."""
        if self.op == IN_SEGMENT:
            return {name for segment in self.segments for name in segment.reads_of_organization}
        return {self.own_name} - {""}

    @property
    def own_name(self) -> str:
        """The name of the organization's attribute that the clause compares; empty if it compares something else."""
        return "" if self.op in OF_THE_TREE else name_of_organization(self.attribute)

    @property
    def _is_of_place(self) -> bool:
        return self.op in OF_THE_TREE or bool(self.own_name)

    @property
    def depends_on_user(self) -> bool:
        """Whether it can say something else to two users of one organization."""
        if self.op == IN_SEGMENT:
            return any(segment.depends_on_user for segment in self.segments)
        return not self._is_of_place

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the organizations above: on their keys, or on attributes that come from them."""
        return self._is_of_place or any(segment.asks_for_path for segment in self.segments)

    @cached_property
    def why_never(self) -> str:
        """Why the clause matches nobody: this version of Flagsite does not know what it asks for. Empty otherwise."""
        if self.op in OF_THE_TREE:
            return ""
        if self.op == IN_SEGMENT:
            known = {segment.key for segment in self.segments}
            missing = [key for key in self.values if key not in known]
            return f"There is no segment {missing[0]!r}." if missing and (self.negate or not known) else ""
        return self._prepared[1]

    @cached_property
    def _prepared(self) -> tuple[Test, str]:
        """The test of a value, and why there is none. Made once, as patterns take long to compile."""
        if self.op not in OPERATORS:
            return _matches_nothing, f"The operator {self.op!r} is unknown."
        try:
            return OPERATORS[self.op].prepare(self.values, self.ignore_case), ""
        except WrongValue as error:
            return _matches_nothing, f"A value is not {error}."

    def compared(self, attributes: Attributes, targeting_key: str, place: Place) -> Any:
        """Return the value that the clause looks at; None if there is none."""
        if self.op == IN_SUBTREE:
            return list(place.keys) or None
        if self.op == LEVEL:
            return len(place.keys) - 1 if place.keys else None
        if self.own_name:
            return place.attributes.get(self.own_name)
        if self.op == IN_SEGMENT:
            return [segment.key for segment in self.segments if segment.test(attributes, targeting_key, place)]
        if self.attribute == TARGETING_KEY:
            return targeting_key or None
        return getter(self.attribute)(attributes)

    @cached_property
    def test(self) -> ClauseTest:
        """The function that says whether the clause matches."""
        negate = self.negate
        if self.why_never:
            return lambda attributes, targeting_key, place: False
        if self.op == IN_SUBTREE:
            tops = frozenset(self.values)
            return lambda attributes, targeting_key, place: bool(place.keys) and tops.isdisjoint(place.keys) is negate
        if self.op == LEVEL:
            levels = frozenset(self.values)
            return lambda attributes, targeting_key, place: (
                bool(place.keys) and (len(place.keys) - 1 in levels) is not negate
            )
        if self.op == IN_SEGMENT:
            tests = tuple(segment.test for segment in self.segments)
            if len(tests) == 1 and not negate:
                return tests[0]
            return lambda attributes, targeting_key, place: (
                any(test(attributes, targeting_key, place) for test in tests) is not negate
            )
        if self.attribute == TARGETING_KEY:
            return self._test_of_targeting_key()
        if not self.own_name:
            return self._test_of_attribute(self.attribute)
        own = self._test_of_attribute(self.own_name)
        return lambda attributes, targeting_key, place: own(place.attributes, targeting_key, place)

    def _test_of_targeting_key(self) -> ClauseTest:
        negate = self.negate
        if self.op == "exists":
            return lambda attributes, targeting_key, place: bool(targeting_key) is not negate
        test, _ = self._prepared
        return lambda attributes, targeting_key, place: bool(targeting_key) and test(targeting_key) is not negate

    def _test_of_attribute(self, name: str) -> ClauseTest:
        """The test of the attribute with this name, wherever the attributes come from."""
        negate = self.negate
        if self.op == "exists":
            get = getter(name)
            return lambda attributes, targeting_key, place: (get(attributes) is not None) is not negate
        test, _ = self._prepared
        read = getter(name) if "." in name else None

        def compare(attributes: Attributes, targeting_key: str, place: Place) -> bool:
            value = attributes.get(name) if read is None else read(attributes)
            if value is None:
                return False
            if type(value) in SCALARS or not isinstance(value, ARRAYS):
                return test(value) is not negate
            return any(each is not None and test(each) for each in value) is not negate

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
        rules = tuple(tests_of(rule.clauses) for rule in self.rules)

        def is_in(attributes: Attributes, targeting_key: str, place: Place) -> bool:
            if targeting_key in included:
                return True
            if targeting_key in excluded:
                return False
            for tests in rules:
                for test in tests:
                    if not test(attributes, targeting_key, place):
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
    def reads_of_organization(self) -> set[str]:
        """The names of the attributes of organizations that its rules read."""
        return {name for clause in self._clauses for name in clause.reads_of_organization}

    @property
    def depends_on_user(self) -> bool:
        """Whether two users of one organization can differ."""
        return bool(self.included or self.excluded) or any(clause.depends_on_user for clause in self._clauses)

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the organizations above: on their keys, or on attributes that come from them."""
        return any(clause.asks_for_path for clause in self._clauses)

    @property
    def _clauses(self) -> list[Clause]:
        return [clause for rule in self.rules for clause in rule.clauses]


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

    def matches(self, attributes: Attributes, targeting_key: str, place: Place) -> bool:
        """Return whether all clauses match."""
        return all(clause.test(attributes, targeting_key, place) for clause in self.clauses)

    @property
    def tests(self) -> list[ClauseTest]:
        """The tests of its clauses. Cheap ones come first: the order changes no answer."""
        return tests_of(self.clauses)

    @property
    def reads(self) -> set[str]:
        """The attributes of the context on which the rule depends, without the targeting key."""
        names = {name for clause in self.clauses for name in clause.reads}
        return (names | {self.rollout.reads if self.rollout else ""}) - {""}

    @property
    def reads_of_organization(self) -> set[str]:
        """The names of the attributes of organizations on which the rule depends."""
        names = {name for clause in self.clauses for name in clause.reads_of_organization}
        return (names | {self.rollout.own_name if self.rollout else ""}) - {""}

    @property
    def depends_on_user(self) -> bool:
        """Whether it can say something else to two users of one organization."""
        by_user = self.rollout is not None and not self.rollout.is_of_place
        return by_user or any(clause.depends_on_user for clause in self.clauses)

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the organizations above: on their keys, or on attributes that come from them."""
        by_place = self.rollout is not None and self.rollout.asks_for_path
        return by_place or any(clause.asks_for_path for clause in self.clauses)

    def can_match(self, place: Place) -> bool:
        """Return whether it matches some user of an organization, as far as the place in the tree decides."""
        return all(clause.test({}, "", place) for clause in self.clauses if not clause.depends_on_user)


def tests_of(clauses: Sequence[Clause]) -> list[ClauseTest]:
    """Return the tests of clauses of one rule, with cheap ones first: the order changes no answer."""
    return [clause.test for clause in sorted(clauses, key=lambda clause: COSTS.get(clause.op, 0))]


def _matches_nothing(value: Any) -> bool:
    return False


def rules_of(content: Any) -> tuple[TargetingRule, ...]:
    """Read the rules in the JSON of a definition. Nothing is raised: what cannot be read matches nobody."""
    found = (_rule(each) for each in content) if isinstance(content, list) else ()
    return tuple(rule for rule in found if rule is not None)


def served_keys(rule: Any) -> list[str]:
    """Return the keys of the variants that a rule in JSON can serve."""
    serve = rule.get("serve") if isinstance(rule, Mapping) else None
    if not isinstance(serve, Mapping):
        return []
    weights = serve.get("rollout")
    return [serve["variant"]] if "variant" in serve else list(weights) if isinstance(weights, Mapping) else []


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
    rollout = rollout_of(weights, serve) if isinstance(weights, Mapping) else None
    return None if rollout is None else TargetingRule(rule_id, made, None, rollout)


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
