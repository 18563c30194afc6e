"""A flag that is off in a product serves the same here, also when it is switched on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flags.evaluation.engine import Definition
from flags.tests.moving.importing import answer, codes, read

TARGETS = [{"values": ["ada"], "variation": 1}]
HALVES = {"rollout": {"variations": [{"variation": 0, "weight": 50_000}, {"variation": 1, "weight": 50_000}]}}
USERS = ["ada", *(f"user-{number}" for number in range(40))]


def of_launchdarkly(variations: list[Any], **flag: Any) -> dict[str, Any]:
    return {"flags": {"x": {"variations": variations, "salt": "s", "fallthrough": {"variation": 0}, **flag}}}


def answers(definitions: dict[str, Definition]) -> list[Any]:
    return [answer(definitions, "x", user) for user in USERS]


@pytest.mark.parametrize("variations", [[True, False], ["a", "b"], [{"size": 1}, {"size": 2}]])
@pytest.mark.parametrize("fallthrough", [{"variation": 0}, HALVES])
def test_a_flag_of_launchdarkly_that_serves_no_value_is_killed_and_then_switched_on_the_same(
    variations: list[Any], fallthrough: Any
) -> None:
    content = of_launchdarkly(variations, offVariation=None, targets=TARGETS, fallthrough=fallthrough)
    is_off, _ = read("launchdarkly", content)
    content["flags"]["x"]["on"] = True
    is_on, _ = read("launchdarkly", content)
    assert is_off["x"].killed
    assert set(answers(is_off)) == {"off" if variations[0] is True else ""}
    assert replace(is_off["x"], killed=False, salt="") == replace(is_on["x"], salt="")


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ({"on": False}, {("x", "value", True)}),
        ({"on": True}, set()),
        ({"on": False, "offVariation": 1}, set()),
        ({"on": True, "prerequisites": [{"key": "x2", "variation": 0}]}, {("x", "value", True)}),
    ],
)
def test_false_in_place_of_the_default_of_the_code_is_noted(flag: Any, expected: Any) -> None:
    content = of_launchdarkly([True, False], **flag)
    content["flags"]["x2"] = {
        "on": True,
        "variations": [True, False],
        "offVariation": 1,
        "fallthrough": {"variation": 0},
    }
    assert codes(read("launchdarkly", content)[1]) == expected


def test_a_flag_of_launchdarkly_that_is_off_keeps_the_value_of_off_and_the_shares_of_its_fallthrough() -> None:
    content = of_launchdarkly(["a", "b", "c"], offVariation=2, fallthrough=HALVES)
    definitions, reading = read("launchdarkly", content)
    assert codes(reading) == set()
    assert set(answers(definitions)) == {"variant-3"}
    content["flags"]["x"]["on"] = True
    there = answers(read("launchdarkly", content)[0])
    assert set(there) == {"variant-1", "variant-2"}
    assert answers({"x": replace(definitions["x"], enabled=True)}) == there


@pytest.mark.parametrize("name", ["targets", "contextTargets"])
def test_targets_of_a_flag_that_serves_a_value_when_it_is_off_are_noted(name: str) -> None:
    content = of_launchdarkly(["a", "b"], offVariation=1, **{name: TARGETS})
    assert codes(read("launchdarkly", content)[1]) == {("x", "off", True)}


def test_a_feature_of_flagsmith_that_is_off_keeps_its_shares() -> None:
    option = {"id": 1, "percentage_allocation": 50, "multivariate_feature_option": {"value": "b"}}
    state = {"feature": {"name": "x"}, "enabled": False, "feature_state_value": "a", "django_id": 7,
             "multivariate_feature_state_values": [option]}  # fmt: skip
    is_off, _ = read("flagsmith", {"feature_states": [state], "api_key": "k"})
    is_on, _ = read("flagsmith", {"feature_states": [{**state, "enabled": True}], "api_key": "k"})
    assert set(answers(is_off)) == {""}
    assert set(answers(is_on)) == {"value", "value-2"}
    assert replace(is_off["x"], enabled=True, salt="") == replace(is_on["x"], salt="")
