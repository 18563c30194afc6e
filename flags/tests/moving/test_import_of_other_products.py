"""Projects of LaunchDarkly, GrowthBook and Flagsmith, in their own formats, answer here as they did there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from flags.errors import InvalidFlagFile
from flags.tests.moving.importing import answer, codes, read

READ = {
    source: read(source, json.loads((Path(__file__).parent / f"{source}.json").read_text()))
    for source in ("launchdarkly", "growthbook", "flagsmith")
}


def fnv1a(text: str) -> int:
    found = 0x811C9DC5
    for character in text:
        found = (found ^ ord(character)) * 0x01000193 & 0xFFFFFFFF
    return found


def share_of_launchdarkly(key: str, salt: str, user: str) -> float:
    """https://launchdarkly.com/docs/home/releases/percentage-rollouts: from 0 to 1."""
    digest = hashlib.sha1(f"{key}.{salt}.{user}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:15], 16) / 0xFFFFFFFFFFFFFFF


EXPECTED: list[tuple[str, str, str | None, dict[str, Any], str]] = [
    ("launchdarkly", "new-checkout", "ada", {"plan": "pro", "version": "3.0.0"}, "off"),
    ("launchdarkly", "new-checkout", "olga", {}, "on"),
    ("launchdarkly", "new-checkout", "x", {"plan": "team", "version": "2.0.1"}, "on"),
    ("launchdarkly", "new-checkout", "x", {"country": "DE", "joined": "2025-12-31T23:59:59Z"}, "off"),
    ("launchdarkly", "colour", "x", {"company": {"size": 51}}, "red"),
    ("launchdarkly", "colour", "x", {"company": {"size": 50}}, "blue"),
    ("launchdarkly", "colour", "x", {}, "blue"),
    ("launchdarkly", "limit", "x", {}, "variant-2"),
    ("launchdarkly", "off", "x", {}, "off"),
    ("launchdarkly", "shop", None, {}, "on"),
    ("growthbook", "new-checkout", "x", {"plan": "pro", "country": "DE"}, "on"),
    ("growthbook", "new-checkout", "x", {"plan": "pro"}, "on"),
    ("growthbook", "new-checkout", "x", {"plan": "pro", "country": "US"}, "off"),
    ("growthbook", "new-checkout", None, {"beta": True}, "off"),
    ("growthbook", "colour", "ada", {}, "variant-2"),
    ("growthbook", "colour", "x", {"age": 18, "email": "a@example.org"}, "variant-3"),
    ("growthbook", "colour", "x", {"age": 30, "email": "a@example.org"}, "variant-1"),
    ("growthbook", "everybody", None, {}, "on"),
    ("growthbook", "friends", "olga", {}, "on"),
    ("growthbook", "friends", "x", {}, "off"),
    ("growthbook", "off", "x", {}, "off"),
    ("flagsmith", "new-checkout", "x", {"plan": "pro"}, "on"),
    ("flagsmith", "new-checkout", "x", {"seats": 5, "country": "DE"}, "on"),
    ("flagsmith", "new-checkout", "x", {"seats": "5"}, "on"),
    ("flagsmith", "new-checkout", "x", {"plan": "pro", "country": "US"}, "off"),
    ("flagsmith", "new-checkout", "x", {"plan": "pro", "version": "1.9.0"}, "off"),
    ("flagsmith", "new-checkout", "x", {}, "off"),
    ("flagsmith", "colour", "x", {"version": "1.9.0"}, "value-2"),
    ("flagsmith", "colour", "x", {"version": "2.0.0"}, "value"),
    ("flagsmith", "limit", "x", {}, ""),
    ("flagsmith", "staff", "ada", {}, "on"),
    ("flagsmith", "staff", "x", {}, "off"),
]


@pytest.mark.parametrize(("source", "key", "user", "context", "expected"), EXPECTED)
def test_users_get_what_they_got(source: str, key: str, user: str | None, context: Any, expected: str) -> None:
    assert answer(READ[source][0], key, user, **context) == expected


def test_users_of_launchdarkly_keep_their_bucket() -> None:
    for number in range(400):
        user = f"user-{number}"
        expected = "on" if share_of_launchdarkly("new-checkout", "c0ffee", user) < 0.25 else "off"
        assert answer(READ["launchdarkly"][0], "new-checkout", user) == expected
        half = "variant-1" if share_of_launchdarkly("split-colours", "s", user) < 0.5 else "variant-2"
        assert answer(READ["launchdarkly"][0], "split-colours", user) == half


def test_users_of_growthbook_keep_their_bucket() -> None:
    for number in range(400):
        user = f"user-{number}"
        second = fnv1a(str(fnv1a(f"checkout{user}"))) % 10_000 / 10_000 <= 0.3
        first = fnv1a(f"{user}old-hash") % 1_000 / 1_000 <= 0.5
        assert answer(READ["growthbook"][0], "new-checkout", user, beta=True) == ("on" if second else "off")
        assert answer(READ["growthbook"][0], "old-hash", None, companyId=user) == ("on" if first else "off")
        both = fnv1a(f"{user}falls-through") % 1_000 / 1_000 <= 0.5
        for is_beta in (True, False):
            expected = "on" if is_beta or both else "off"
            assert answer(READ["growthbook"][0], "falls-through", user, beta=is_beta) == expected


def test_variations_of_growthbook_give_variants_their_names() -> None:
    by_key = {entry.key: entry.values for entry in READ["growthbook"][1].entries}
    assert [each["key"] for each in by_key["price"]["variants"]] == ["today", "more", "most", "variant-4"]
    assert [each["key"] for each in by_key["thirds"]["variants"]] == ["variant-1", "variant-2", "variant-3"]
    assert by_key["needs-checkout"]["prerequisites"] == ["everybody", {"flag": "off", "is": "off"}]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("launchdarkly", {("limit", "off", True), ("beta-segment", "segment", False),
                          ("needs-false-of-what-is-off", "prerequisite", False), ("in-a-tenth", "segment", False),
                          ("by-organization", "context-kind", False)}),
        ("growthbook", {("part-of-a-namespace", "buckets", False), ("two-ways", "fall-through", False),
                        ("sticky", "unit", False), ("bandit", "strategy", False), ("three", "operator", False),
                        ("needs-in-a-rule", "prerequisite", False)}),
        ("flagsmith", {("tenth", "operator", False), ("split", "identity", True), ("thousandths", "weights", False)}),
    ],
)  # fmt: skip
def test_what_has_no_equal_is_left_out_and_named(source: str, expected: Any) -> None:
    assert codes(READ[source][1]) == expected


def test_a_file_of_a_relay_of_launchdarkly_has_its_segments() -> None:
    clause = {"attribute": "", "op": "segmentMatch", "values": ["beta"]}
    flag = {"key": "x", "on": True, "variations": [False, True], "offVariation": 0, "fallthrough": {"variation": 0},
            "rules": [{"variation": 1, "clauses": [clause]}], "salt": "s"}  # fmt: skip
    segment = {
        "key": "beta",
        "included": ["ada"],
        "rules": [{"clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}],
    }
    definitions, reading = read("launchdarkly", {"flags": {"x": flag}, "segments": {"beta": segment}})
    assert reading.remarks == []
    asked: list[tuple[str, dict[str, Any]]] = [("ada", {}), ("b", {"plan": "pro"}), ("b", {})]
    assert [answer(definitions, "x", user, **context) for user, context in asked] == ["on", "on", "off"]


def test_segments_of_flagsmith_become_segments_with_the_words_of_their_names() -> None:
    reading = READ["flagsmith"][1]
    assert [each.key for each in reading.segments] == ["old-apps-2", "pros-in-europe-1"]
    by_key = {entry.key: entry.values for entry in reading.entries}
    assert [rule["clauses"] for rule in by_key["new-checkout"]["targeting_rules"]] == [
        [{"op": "inSegment", "values": ["old-apps-2"]}], [{"op": "inSegment", "values": ["pros-in-europe-1"]}]
    ]  # fmt: skip


def test_segments_of_flagsmith_with_the_same_key_leave_flags_out() -> None:
    state = {"feature": {"name": "x"}, "enabled": False}
    segments = [
        {"name": "pros", "rules": [{"type": "ALL", "conditions": [
            {"operator": "EQUAL", "property_": "plan", "value": value}]}],
         "feature_states": [state | {"enabled": True}]} for value in ("pro", "team")
    ]  # fmt: skip
    _, reading = read("flagsmith", {"feature_states": [state], "project": {"segments": segments}})
    assert codes(reading) == {("x", "segment", False)}


def test_a_segment_of_flagsmith_without_rules_has_nobody_in_it() -> None:
    state = {"feature": {"name": "x"}, "enabled": False}
    segment = {"name": "none", "rules": [], "feature_states": [state | {"enabled": True}]}
    definitions, _ = read("flagsmith", {"feature_states": [state], "project": {"segments": [segment]}})
    assert answer(definitions, "x", "ada") == "off"


def test_segments_of_launchdarkly_become_segments_with_their_keys_and_prerequisites_what_they_ask_for() -> None:
    reading = READ["launchdarkly"][1]
    by_key = {entry.key: entry.values for entry in reading.entries}
    segments = {each.key: each.values for each in reading.segments}
    assert sorted(segments) == ["pilot", "staff"]  # and not the one for which no imported flag asks
    assert (segments["staff"]["included"], segments["staff"]["excluded"]) == (
        ["user-1", "user-3"],
        ["user-1", "user-2"],
    )
    assert by_key["needs-layout"]["prerequisites"] == [
        {"flag": "layout", "variant": "two"}, {"flag": "two-seeds", "is": "off"}
    ]  # fmt: skip
    assert by_key["in-pilot"]["targeting_rules"][0]["clauses"][0] == {
        "op": "inSegment", "values": ["staff"], "negate": True
    }  # fmt: skip


@pytest.mark.parametrize("source", ["launchdarkly", "growthbook", "flagsmith"])
@pytest.mark.parametrize("content", [[], {}, {"flags": [], "features": [], "feature_states": {}}])
def test_another_file_is_refused(source: str, content: Any) -> None:
    with pytest.raises(InvalidFlagFile, match="The file is not one of"):
        read(source, content)


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("launchdarkly", {"flags": {"x": {"on": True}, "y": 3}}),
        ("growthbook", {"features": {"x": {"rules": [3]}, "y": {"defaultValue": False, "rules": [{"force": 1}]}}}),
        ("flagsmith", {"feature_states": [{"feature": 3}, {"feature": {"name": "x"}, "feature_state_value": [1, {}]}]}),
    ],
)
def test_a_broken_flag_is_left_out(source: str, content: Any) -> None:
    definitions, reading = read(source, content)
    assert all(not remark.is_imported for remark in reading.remarks)
    assert not {remark.flag for remark in reading.remarks} & set(definitions)
