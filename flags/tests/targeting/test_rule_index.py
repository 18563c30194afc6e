"""The index of rules finds the same rules as the rules themselves, whatever the attributes are."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.targeting.places import PlaceOf
from flags.targeting.rule_index import RuleIndex
from flags.targeting.rules import IN_SEGMENT, Clause, EvaluatedSegment, SegmentRule, TargetingRule
from flags.targeting.segments import Segments
from flags.values.patterns import set_of_patterns


class Level(enum.IntEnum):
    """A number that is no plain number, as Python code may give it."""

    LOW = 3


class Plan(enum.StrEnum):
    """A text that is no plain text."""

    PRO = "pro"


TEXTS = ["", "a", "ab", "abc", "b", "B", "Abc", "ß", "ss", "pro", "PRO", "\ud83d"]
NUMBERS = [0, 1, 1.0, 2, 2.5, 3, -1, 2**70, 1e300]
VERSIONS = ["1", "1.0.0", "v1.2", "1.2.0-rc.1", "2.0.0"]
TIMES = ["2026-11-30T12:00:00Z", "2026-11-30T13:00:00+01:00", "2026-12-01T00:00:00Z"]
ADDRESSES = ["10.0.0.0", "10.0.0.255", "10.0.1.0", "::ffff:10.0.0.7", "::1", "::a00:0", "fe80::1%eth0", "010.0.0.1"]
NETWORKS = ["10.0.0.0/24", "10.0.0.128/25", "10.0.0.7", "::/0", "::ffff:10.0.1.0/120", "0.0.0.0/0", "::1"]
PATTERNS = ["", "a", "^a", "b$", "^$", "[0-9]+", "(?i)B", "pro|ab"]
SCALARS: list[Any] = [
    *TEXTS, *NUMBERS, *VERSIONS, *TIMES, *ADDRESSES, True, False, "x", "1.2.x", {}, {"a": 1},
    float("nan"), float("inf"), Level.LOW, Plan.PRO, datetime(2026, 11, 30, 12, tzinfo=UTC),
    datetime(2026, 11, 30, 12),  # noqa: DTZ001 - no zone
]  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, [], [None], (), *SCALARS]), st.lists(st.sampled_from([None, ["a"], *SCALARS]), max_size=3)
)
OF_OPERATORS: dict[str, list[Any]] = {
    "in": [*TEXTS[:-1], *NUMBERS, True, False],
    **dict.fromkeys(["startsWith", "endsWith", "contains"], TEXTS[:-1]),
    **dict.fromkeys(["lt", "lte", "gt", "gte"], NUMBERS),
    **dict.fromkeys(["semverEq", "semverLt", "semverLte", "semverGt", "semverGte"], VERSIONS),
    **dict.fromkeys(["before", "after"], TIMES),
    "inCidr": NETWORKS,
    "matches": PATTERNS,
    "of a later version": ["x"],
}
WITH_CASE = {"in", "startsWith", "endsWith", "contains", "matches"}
NAMES = ["one", "two", "deep.er", "org.one", "org.deep.er", "targetingKey"]
KEYS = ["s1", "s2", "s3"]


@st.composite
def clauses(draw: st.DrawFn, segments: list[str]) -> Clause:
    """A clause of any operator. `segments` are those that it may name."""
    negate, name = draw(st.booleans()), draw(st.sampled_from(NAMES))
    op = draw(st.sampled_from([*OF_OPERATORS, "exists", "inSubtree", "level", *([IN_SEGMENT] * 4)]))
    if op == "exists":
        return Clause(name, op, negate=negate)
    if op == "inSubtree":
        return Clause("", op, ("root",), negate=negate)
    if op == "level":
        return Clause("", op, (0, 1), negate=negate)
    if op == IN_SEGMENT:
        named = draw(st.lists(st.sampled_from([*segments, "gone"]), min_size=1, max_size=2))
        return Clause("", op, tuple(named), negate=negate)
    values = draw(st.lists(st.sampled_from(OF_OPERATORS[op]), min_size=1, max_size=3))
    ignore_case = op in WITH_CASE and draw(st.booleans())
    return Clause(name, op, tuple(values), negate=negate, ignore_case=ignore_case)


@st.composite
def rules(draw: st.DrawFn) -> list[TargetingRule]:
    """Rules of any clauses, also none, with segments that name segments."""
    made: dict[str, EvaluatedSegment] = {}
    keys = st.lists(st.sampled_from(TEXTS[1:-1]), max_size=2).map(tuple)
    for key in KEYS:
        own = draw(st.lists(st.lists(clauses(list(made)), min_size=1, max_size=2), max_size=2))
        listed = tuple(SegmentRule("", tuple(each)) for each in own)
        made[key] = EvaluatedSegment(key, "1-1", draw(keys), draw(keys), listed)
    drawn = draw(st.lists(st.lists(clauses(KEYS), max_size=3), min_size=1, max_size=8))
    unresolved = [TargetingRule(str(number), tuple(each), enabled=True) for number, each in enumerate(drawn)]
    return list(Segments(made).resolved(unresolved))


attributes = st.fixed_dictionaries({}, optional={"one": VALUES, "two": VALUES, "deep": VALUES, "deep.er": VALUES})
deep = st.one_of(attributes, VALUES.map(lambda value: {"deep": {"er": value}}))
places = st.builds(PlaceOf, st.sampled_from([(), ("root",), ("root", "a")]), deep)


def found(listed: list[TargetingRule], given_: Mapping[str, Any], key: str, place: PlaceOf) -> list[bool]:
    """Which rules match, by their index."""
    index = RuleIndex(rule.clauses for rule in listed)
    candidates = index.candidates(given_, key, place)
    return [
        bool(candidates >> number & 1) and all(test(given_, key, place, candidates) for test in index.rest[number])
        for number in range(len(listed))
    ]


@given(rules(), deep, st.sampled_from(TEXTS), places)
def test_the_index_finds_the_rules_that_match(
    listed: list[TargetingRule], given_: dict[str, Any], key: str, place: PlaceOf
) -> None:
    assert found(listed, given_, key, place) == [rule.matches(given_, key, place) for rule in listed]


@pytest.mark.parametrize("op", OF_OPERATORS)
@given(st.data())
def test_each_operator_answers_alike_for_each_value(op: str, data: st.DataObject) -> None:
    """Two clauses of one rule too, which no table can have together."""
    made = st.builds(
        lambda values, negate, ignore_case: Clause(
            "one", op, tuple(values), negate=negate, ignore_case=ignore_case and op in WITH_CASE
        ),
        st.lists(st.sampled_from(OF_OPERATORS[op]), min_size=1, max_size=4), st.booleans(), st.booleans(),
    )  # fmt: skip
    drawn = data.draw(st.lists(st.lists(made, min_size=1, max_size=2), min_size=1, max_size=6))
    listed = [TargetingRule("", tuple(each), enabled=True) for each in drawn]
    place, key = PlaceOf(), ""
    for value in data.draw(st.lists(VALUES, min_size=1, max_size=12)):
        given_ = {"one": value}
        assert found(listed, given_, key, place) == [rule.matches(given_, key, place) for rule in listed]


def test_patterns_that_are_too_large_together_are_asked_one_by_one() -> None:
    large = [f"{number}[^a]{{250}}" for number in range(40)]
    assert set_of_patterns(tuple(large), ignore_case=False) is None
    listed = [TargetingRule("", (Clause("one", "matches", (pattern,)),), enabled=True) for pattern in [*large, "^a"]]
    right = [rule.matches({"one": "abc"}, "", PlaceOf()) for rule in listed]
    assert found(listed, {"one": "abc"}, "", PlaceOf()) == right == [False] * 40 + [True]
