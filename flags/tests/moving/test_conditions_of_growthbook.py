"""Conditions of GrowthBook match here whom they match there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.moving.sources.conditions import ALWAYS, NEVER, Condition, all_of, any_of, asks, opposite, rules_of
from flags.targeting.rules import rules_of as targeting_rules
from flags.tests.moving.importing import answer, codes, read

PARTS = st.sampled_from(
    [ALWAYS, NEVER, asks("a", "in", ["x"]), asks("a", "exists"), asks("b", "in", ["x"], negate=True, missing=True)]
)
CONDITIONS = st.recursive(
    PARTS, lambda inner: st.builds(lambda both, join: join(both), st.lists(inner, max_size=2),
                                   st.sampled_from([all_of, any_of])), max_leaves=4
)  # fmt: skip
VALUES: list[Any] = [None, "x", "y", 3, ["x", "y"], []]


def matches(condition: Condition, **attributes: Any) -> bool:
    numbered = [{"id": str(place), **rule} for place, rule in enumerate(rules_of(condition, {"variant": "on"}))]
    if [] in condition:
        return True
    definition = Definition(1, "x", targeting_rules=targeting_rules(numbered))
    context = EvaluationContext("ada", None, attributes)
    return evaluate(definition, NO_ORGANIZATION_CONTEXT, context, {}).enabled


@given(CONDITIONS, st.sampled_from(VALUES), st.sampled_from(VALUES))
def test_the_opposite_of_a_condition_is_true_where_the_condition_is_not(condition: Any, one: Any, other: Any) -> None:
    assert matches(opposite(condition), a=one, b=other) is not matches(condition, a=one, b=other)


def of_condition(condition: Any) -> Any:
    return read("growthbook", {"features": {"x": {"defaultValue": False, "rules": [
        {"condition": condition, "force": True}]}}})  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"age": {"$lt": 18}}, {}, "on"),
        ({"age": {"$gt": 0}}, {}, "off"),
        ({"age": {"$gte": 0}}, {}, "on"),
        ({"age": {"$not": {"$lt": 18}}}, {}, "off"),
        ({"app": {"$vlt": "1.0.0"}}, {}, "on"),
        ({"app": {"$vgt": "1.0.0"}}, {}, "off"),
        ({"app": {"$vne": "1.0.0"}}, {}, "on"),
        ({"app": {"$vne": "1.0.0"}}, {"app": "1.0.0"}, "off"),
        ({"$not": {"plan": "pro", "age": {"$gte": 18}}}, {"plan": "pro"}, "on"),
        ({"$not": {"plan": "pro", "age": {"$gte": 18}}}, {"plan": "pro", "age": 18}, "off"),
        ({"$nor": []}, {}, "off"),
        ({"plan": {"$nin": "pro"}}, {"plan": "x"}, "off"),
        ({"tags": {"$all": []}}, {"tags": []}, "on"),
        ({"tags": {"$all": ["a", "b"]}}, {"tags": ["b", "c"]}, "off"),
        ({"tags": {"$elemMatch": {"$lt": 3}}}, {}, "off"),
        ({"tags": {"$not": {"$elemMatch": {"$lt": 3}}}}, {}, "on"),
    ],
)
def test_a_condition_matches_whom_it_matches_there(condition: Any, context: Any, expected: str) -> None:
    assert answer(of_condition(condition)[0], "x", "ada", **context) == expected


@pytest.mark.parametrize("condition", [{"tags": {"$elemMatch": {"$eq": "a"}}}, {"tags": {"$all": ["a"]}}])
def test_a_note_says_that_only_an_array_has_elements(condition: Any) -> None:
    assert codes(of_condition(condition)[1]) == {("x", "arrays", True)}


@pytest.mark.parametrize(
    "asked", [{"$gt": 1, "$lt": 5}, {"$ne": "a"}, {"$nin": ["a"]}, {"$vne": "1.0.0"}, {"$eq": None}, {"name": "a"}]
)
def test_an_element_of_which_several_things_or_an_opposite_are_asked_leaves_the_flag_out(asked: Any) -> None:
    assert codes(of_condition({"tags": {"$elemMatch": asked}})[1]) == {("x", "operator", False)}
