"""A project of Unleash, in its own format, answers here as it did there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmh3 import hash as murmur

from flags.errors import InvalidFlagFile
from flags.tests.moving.importing import answer, codes, read

PROJECT = json.loads((Path(__file__).parent / "unleash.json").read_text())
DEFINITIONS, READING = read("unleash", PROJECT)


def bucket(group: str, user: str) -> int:
    """Unleash's formula (https://docs.getunleash.io/concepts/stickiness): 1 to 100."""
    return murmur(f"{group}:{user}", signed=False) % 100 + 1


def test_a_feature_is_on_for_whom_one_of_its_strategies_says_so_and_users_keep_their_bucket() -> None:
    for number in range(300):
        user = f"user-{number}"
        half, tenth = bucket("checkout", user) <= 50, bucket("checkout", user) <= 10
        for context, expected in (
            ({"plan": "pro", "country": "DE"}, half),
            ({"plan": "pro"}, half),
            ({"plan": "pro", "country": "US"}, tenth),
            ({"plan": "free"}, tenth),
            ({}, tenth),
        ):
            assert answer(DEFINITIONS, "new-checkout", user, **context) == ("on" if expected else "off")
    assert answer(DEFINITIONS, "new-checkout", "ada") == "on"
    assert answer(DEFINITIONS, "new-checkout", None, plan="pro") == "off"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"email": "ada@EXAMPLE.org", "age": 18, "appVersion": "2.0.0"}, "on"),
        ({"email": "ada@example.org", "age": 18}, "on"),
        ({"email": "ada@example.org", "age": 18, "appVersion": "1.9.9"}, "off"),
        ({"email": "ada@example.org", "age": 17}, "off"),
        ({"email": "ada@example.com", "age": 18}, "off"),
        ({}, "off"),
    ],
)
def test_constraints_are_clauses_and_an_inverted_one_is_true_of_a_missing_attribute(
    context: Any, expected: str
) -> None:
    assert answer(DEFINITIONS, "beta", "ada", **context) == expected


def test_a_rollout_counts_a_custom_field() -> None:
    for company in map(str, range(100)):
        expected = "on" if bucket("sticky", company) <= 30 else "off"
        assert answer(DEFINITIONS, "sticky", None, companyId=company) == expected
    assert answer(DEFINITIONS, "sticky", "ada") == "off"


def test_states_kinds_tags_and_dependencies_come_along() -> None:
    by_key = {entry.key: entry.values for entry in READING.entries}
    assert sorted(by_key) == ["beta", "child", "disabled", "everybody", "new-checkout", "sticky"]
    assert by_key["new-checkout"]["tags"] == ["simple:q4"]
    assert [by_key[key]["kind"] for key in ("new-checkout", "disabled", "everybody")] == [
        "experiment", "operational", "permission"
    ]  # fmt: skip
    assert by_key["disabled"]["killed"] is True
    assert answer(DEFINITIONS, "disabled", "ada") == "off"
    assert answer(DEFINITIONS, "everybody", None) == "on"
    assert by_key["child"]["prerequisites"] == ["everybody"]


def test_what_has_no_equal_is_left_out_and_named() -> None:
    assert codes(READING) == {
        ("by-chance", "unit", False),
        ("with-variants", "weights", False),
        ("by-host", "strategy", False),
        ("in-segment", "segment", False),
        ("child-of-what-is-left-out", "prerequisite", False),
        ("beta", "numbers", True),
    }


def test_the_answer_of_the_client_api_is_read_too_with_its_segments() -> None:
    strategy = {"name": "default", "parameters": {}, "segments": [1]}
    constraints = [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]
    content = {
        "version": 2,
        "features": [{"name": "x", "enabled": True, "strategies": [strategy]}],
        "segments": [{"id": 1, "constraints": constraints}],
    }
    definitions, reading = read("unleash", content)
    assert reading.remarks == []
    assert [answer(definitions, "x", "ada", **each) for each in ({"plan": "pro"}, {})] == ["on", "off"]


def test_of_several_environments_one_is_chosen() -> None:
    more = {"featureName": "disabled", "environment": "staging", "enabled": True}
    content = PROJECT | {"featureEnvironments": [*PROJECT["featureEnvironments"], more]}
    with pytest.raises(InvalidFlagFile, match="production, staging"):
        read("unleash", content)
    with pytest.raises(InvalidFlagFile, match="no environment 'test'"):
        read("unleash", content, "test")
    assert answer(read("unleash", content, "staging")[0], "disabled", "ada") == "on"
    assert answer(read("unleash", content, "production")[0], "disabled", "ada") == "off"


@pytest.mark.parametrize("content", [[], {}, {"features": {}}])
def test_another_file_is_refused(content: Any) -> None:
    with pytest.raises(InvalidFlagFile, match="not an export of Unleash"):
        read("unleash", content)


@pytest.mark.parametrize(
    "feature",
    [{}, {"name": "x", "strategies": [3]}, {"name": "x", "strategies": [{"name": "default", "constraints": [{}]}]}],
)
def test_a_broken_feature_is_left_out_and_the_rest_is_read(feature: Any) -> None:
    definitions, reading = read("unleash", {"features": [feature, {"name": "y", "enabled": True}]})
    assert "y" in definitions
    assert [(each.issue.value, each.is_imported) for each in reading.remarks] in ([("form", False)], [])
