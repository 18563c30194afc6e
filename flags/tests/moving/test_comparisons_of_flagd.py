"""A comparison of flagd answers here as flagd's own evaluation does, for values of any type, or a note names it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from flags.tests.moving.importing import answer, codes, read

MISSING = object()
TEXTS = ["", "x", "5", "18", "admin", "1.0.0", "true"]
NUMBERS = [-1, 0, 1, 5, 18, 2.5]
VALUES: list[Any] = [MISSING, *TEXTS, *NUMBERS, True, False, {}, ["x"], ["admin-x", "y"], [5], [0, 18], []]
VERSIONS = st.tuples(st.sampled_from(["=", "<", ">=", "^", "~"]), st.sampled_from(["1.0.0", "2.3.4"]))
THERE = {"var": "a"}


def sides(op: str, *given: Any) -> dict[str, Any]:
    return {op: list(given)}


LOGIC = st.one_of(
    st.builds(sides, st.sampled_from(["<", "<=", ">", ">="]), st.just(THERE), st.sampled_from(NUMBERS)),
    st.builds(sides, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(NUMBERS), st.just(THERE)),
    st.builds(sides, st.sampled_from(["==", "===", "!=", "!=="]), st.just(THERE),
              st.sampled_from([*TEXTS, *NUMBERS, True, False])),
    st.builds(sides, st.just("in"), st.just(THERE), st.lists(st.sampled_from([*TEXTS, *NUMBERS]), min_size=1)),
    st.builds(sides, st.just("in"), st.sampled_from(["x", "admin"]), st.just(THERE)),
    st.builds(sides, st.sampled_from(["starts_with", "ends_with"]), st.just(THERE), st.sampled_from(["a", "x", ""])),
    st.builds(lambda version: sides("sem_ver", THERE, *version), VERSIONS),
)  # fmt: skip


def of_both(logic: Any, value: Any) -> tuple[str, str, set[str]]:
    """What flagd answers, what Flagsite answers, and the codes of the notes."""
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
            "targeting": {"if": [logic, "on", "off"]}}  # fmt: skip
    content = {"flags": {"x": flag}}
    context = {} if value is MISSING else {"a": value}
    core = FlagdCore()
    core.set_flags(json.dumps(content))
    resolve: Any = core.resolve_boolean_value
    theirs = resolve("x", False, EvaluationContext("ada", context))
    definitions, reading = read("flagd", content)
    return "on" if theirs.value else "off", answer(definitions, "x", "ada", **context), {
        code for _, code, _ in codes(reading)
    }  # fmt: skip


@settings(max_examples=300)
@given(LOGIC, st.booleans(), st.sampled_from(VALUES))
def test_a_comparison_answers_as_flagd_does_or_a_note_names_it(logic: Any, is_opposite: bool, value: Any) -> None:
    theirs, ours, noted = of_both({"!": [logic]} if is_opposite else logic, value)
    if theirs != ours:
        assert ("arrays" if isinstance(value, list) else "numbers") in noted


@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("limit", [-1, 0, 18])
@pytest.mark.parametrize("is_opposite", [False, True])
def test_a_missing_attribute_is_0_where_numbers_are_compared(op: str, limit: int, is_opposite: bool) -> None:
    for logic in (sides(op, THERE, limit), sides(op, limit, THERE)):
        theirs, ours, _ = of_both({"!": [logic]} if is_opposite else logic, MISSING)
        assert ours == theirs


@pytest.mark.parametrize(
    ("logic", "expected"),
    [
        (sides("==", THERE, "x"), {"arrays"}),
        (sides("==", THERE, "5"), {"arrays", "numbers"}),
        (sides("===", THERE, "5"), {"arrays"}),
        (sides("==", THERE, True), {"arrays", "numbers"}),
        (sides(">=", THERE, 18), {"arrays", "numbers"}),
        (sides("in", "x", THERE), {"arrays"}),
        (sides("==", {"var": "targetingKey"}, "ada"), set()),
        (sides("sem_ver", THERE, "^", "1.0.0"), {"arrays", "numbers"}),
    ],
)
def test_a_note_names_what_values_of_other_types_mean_in_flagd(logic: Any, expected: set[str]) -> None:
    assert of_both(logic, MISSING)[2] == expected


@pytest.mark.parametrize("logic", [sides("<", THERE, 1, 5), sides("==", {"var": "targetingKey"}, 5)])
def test_a_comparison_that_flagsite_cannot_say_leaves_the_flag_out(logic: Any) -> None:
    flag = {"variants": {"on": True, "off": False}, "defaultVariant": "off", "targeting": {"if": [logic, "on"]}}
    assert codes(read("flagd", {"flags": {"x": flag}})[1]) == {("x", "operator", False)}
