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
    assert sorted(by_key) == [
        "banner", "beta", "child", "disabled", "everybody", "half-of-two", "layout", "needs-loud", "needs-off",
        "new-checkout", "price", "sticky", "with-variants",
    ]  # fmt: skip
    assert by_key["new-checkout"]["tags"] == ["simple:q4"]
    assert [by_key[key]["kind"] for key in ("new-checkout", "disabled", "everybody")] == [
        "experiment", "operational", "permission"
    ]  # fmt: skip
    assert by_key["disabled"]["killed"] is True
    assert answer(DEFINITIONS, "disabled", "ada") == "off"
    assert answer(DEFINITIONS, "everybody", None) == "on"
    assert by_key["child"]["prerequisites"] == ["everybody"]
    assert by_key["needs-loud"]["prerequisites"] == [{"flag": "banner", "variant": "loud"}]
    assert by_key["needs-off"]["prerequisites"] == [{"flag": "layout", "is": "off"}]


def test_variants_have_the_types_of_their_payloads() -> None:
    by_key = {entry.key: entry.values for entry in READING.entries}
    assert {key: by_key[key].get("type", "boolean") for key in ("banner", "price", "layout", "beta")} == {
        "banner": "string", "price": "float", "layout": "object", "beta": "boolean"
    }  # fmt: skip
    assert by_key["layout"]["variants"] == [{"key": "variant-1", "value": {"columns": 2}}]
    assert [each["key"] for each in by_key["banner"]["variants"]] == ["plain", "loud", "list"]


def test_segments_come_along_if_a_flag_asks_for_them() -> None:
    assert [(each.key, each.values["description"]) for each in READING.segments] == [
        ("members-of-2026-8", "Members of 2026")
    ]
    clauses = [rule["clauses"] for rule in READING.segments[0].values["rules"]]
    assert [len(each) for each in clauses] == [2, 2]  # who has no plan, and who has one that is not free


@pytest.mark.parametrize(
    ("variants", "strategy", "code"),
    [
        ([("a", 1), ("b", 2)], {}, "weights"),
        ([("a", 0), ("b", 0)], {}, "weights"),
        ([("a", 500), ("b", 500)], {"stickiness": "random"}, "unit"),
        ([("a", 1000)], {"rollout": "50", "constraints": [{"contextName": "plan", "operator": "IN", "values": ["x"]}]},
         "value"),
        ([("a", 1000)], {"rollout": "50", "stickiness": "companyId"}, "value"),
    ],
)  # fmt: skip
def test_variants_that_flagsite_cannot_say_exactly_are_left_out(variants: Any, strategy: Any, code: str) -> None:
    stickiness = strategy.get("stickiness", "default")
    listed = [{"name": name, "weight": weight, "stickiness": stickiness} for name, weight in variants]
    given = {"rollout": "100", "stickiness": "default", **strategy}
    one = {"name": "flexibleRollout", "parameters": given, "constraints": strategy.get("constraints", [])}
    _, reading = read(
        "unleash", {"features": [{"name": "x", "enabled": True, "variants": listed, "strategies": [one]}]}
    )
    assert [(each.issue.value, each.is_imported) for each in reading.remarks if not each.is_imported] == [(code, False)]


def test_weights_that_add_up_to_less_share_users_as_unleash_does() -> None:
    listed = [{"name": name, "weight": weight} for name, weight in (("a", 30), ("b", 50), ("c", 20))]
    definitions, _ = read("unleash", {"features": [{"name": "x", "enabled": True, "variants": listed}]})
    for number in range(200):
        target = murmur(f"x:user-{number}", 86_028_157, signed=False) % 100
        expected = "a" if target < 30 else "b" if target < 80 else "c"
        assert answer(definitions, "x", f"user-{number}") == expected


@pytest.mark.parametrize(("version", "codes_"), [("v2.0.0", {("x", "version-form", False)}),
                                                 ("2.0", {("x", "version-form", False)}),
                                                 ("2.0.0-rc.1", {("x", "version-form", True)})])  # fmt: skip
def test_a_version_that_unleash_does_not_take_leaves_a_flag_out(version: str, codes_: Any) -> None:
    constraint = {"contextName": "app", "operator": "SEMVER_GT", "value": version}
    strategy = {"name": "default", "constraints": [constraint]}
    feature = {"name": "x", "enabled": True, "strategies": [strategy]}
    assert codes(read("unleash", {"features": [feature]})[1]) == codes_


def test_what_has_no_equal_is_left_out_and_named() -> None:
    assert codes(READING) == {
        ("by-chance", "unit", False),
        ("half-of-two", "stickiness", True),
        ("banner", "stickiness", True),
        ("price", "stickiness", True),
        ("price", "numbers", True),
        ("by-host", "strategy", False),
        ("in-segment", "segment", False),
        ("child-of-what-is-left-out", "prerequisite", False),
        ("beta", "numbers", True),
        ("beta", "version-form", True),
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


@pytest.mark.parametrize("op", ["DATE_AFTER", "DATE_BEFORE"])
@pytest.mark.parametrize("name", ["currentTime", "joined"])
def test_a_comparison_of_times_is_one_with_the_time_of_the_evaluation(op: str, name: str) -> None:
    constraint = {"contextName": name, "operator": op, "value": "2026-01-01T00:00:00Z"}
    assert codes(read("unleash", constrained(constraint))[1]) == {("x", "time", False)}


@pytest.mark.parametrize(
    ("op", "values", "context", "expected"),
    [
        ("IN", [" pro ", ""], "pro", "on"),
        ("IN", ["", None], "", "off"),
        ("NOT_IN", [""], "pro", "on"),
        ("NOT_IN", [" pro"], "pro", "off"),
        ("STR_STARTS_WITH", ["", "x"], "pro", "off"),
        ("STR_CONTAINS", [" r "], "pro", "on"),
        ("STR_ENDS_WITH", [""], "pro", "off"),
    ],
)
def test_values_are_trimmed_and_empty_ones_are_none(op: str, values: Any, context: str, expected: str) -> None:
    definitions, _ = read("unleash", constrained({"contextName": "plan", "operator": op, "values": values}))
    assert answer(definitions, "x", "ada", plan=context) == expected


def constrained(constraint: dict[str, Any]) -> dict[str, Any]:
    strategy = {"name": "default", "constraints": [constraint]}
    return {"features": [{"name": "x", "enabled": True, "strategies": [strategy]}]}


@pytest.mark.parametrize(
    ("constraint", "context", "expected"),
    [
        ({"operator": "IN_CIDR", "values": ["10.x", "10.0.0.0/8"]}, "10.1.1.1", "on"),
        ({"operator": "IN_CIDR", "values": ["10.x"]}, "10.1.1.1", "off"),
        ({"operator": "IN_CIDR", "values": ["10.x"], "inverted": True}, "10.1.1.1", "on"),
        ({"operator": "REGEX", "value": "(a"}, "a", "off"),
        ({"operator": "REGEX", "value": "(?=a)a"}, "a", "off"),
    ],
)
def test_what_is_no_network_or_regular_expression_is_ignored(constraint: Any, context: str, expected: str) -> None:
    definitions, _ = read("unleash", constrained({"contextName": "a", **constraint}))
    assert answer(definitions, "x", "ada", a=context) == expected


@pytest.mark.parametrize("constraint", [{"value": r"\pL{40}"}, {"value": "a" * 300}, {"value": "(a", "inverted": True}])
def test_a_regular_expression_that_flagsite_alone_refuses_leaves_the_flag_out(constraint: Any) -> None:
    _, reading = read("unleash", constrained({"contextName": "a", "operator": "REGEX", **constraint}))
    assert codes(reading) == {("x", "form", False)}
