"""A file of another product may have any form: what cannot be read is left out or refused, at a small cost."""

from __future__ import annotations

from typing import Any

import pytest

from flags.errors import InvalidFlagFile
from flags.moving import reading as reading_of_files
from flags.tests.moving.importing import answer, codes, read

BOTH = {"on": True, "off": False}
NESTED = {f"e{number}": {"and": [{"$ref": f"e{number + 1}"}] * 2} for number in range(40)}
SPREAD = {f"e{number}": {"or": [{"$ref": f"e{number + 1}"}] * 2} for number in range(40)}


def of_flagd(**flag: Any) -> dict[str, Any]:
    return {"variants": BOTH, "defaultVariant": "off", "state": "ENABLED", **flag}


def of_launchdarkly(**flag: Any) -> dict[str, Any]:
    return {
        "on": True, "variations": [True, False], "offVariation": 1, "fallthrough": {"variation": 1}, "salt": "s", **flag
    }  # fmt: skip


def asking_for(segment: str) -> dict[str, Any]:
    return {"clauses": [{"attribute": "", "op": "segmentMatch", "values": [segment, segment]}]}


def by_organization(**more: Any) -> dict[str, Any]:
    shares = [{"variation": 0, "weight": 20_000}, {"variation": 1, "weight": 80_000}]
    return {"rollout": {"bucketBy": "company", "variations": shares}, **more}


@pytest.mark.parametrize("last", [True, False, {"==": [{"var": "plan"}, "pro"]}])
@pytest.mark.parametrize("evaluators", [NESTED, SPREAD])
def test_a_small_file_that_means_a_huge_condition_is_left_out(evaluators: dict[str, Any], last: Any) -> None:
    flag = of_flagd(targeting={"if": [{"$ref": "e0"}, "on", "off"]})
    definitions, reading = read("flagd", {"flags": {"x": flag}, "$evaluators": {**evaluators, "e40": last}})
    assert not definitions
    assert codes(reading) == {("x", "too-long", False)}


@pytest.mark.parametrize(
    "targeting", [{"$ref": "a"}, {"if": [{"$ref": "a"}, "on"]}, {"if": [{"!": {"$ref": "a"}}, "on"]}]
)
def test_what_names_itself_is_left_out(targeting: Any) -> None:
    evaluators: dict[str, Any] = {"a": {"or": [{"$ref": "a"}]}, "b": {"if": [True, "on", {"$ref": "b"}]}}
    _, reading = read("flagd", {"flags": {"x": of_flagd(targeting=targeting)}, "$evaluators": evaluators})
    assert [remark.is_imported for remark in reading.remarks] == [False]


def test_segments_in_a_circle_and_in_each_other_are_left_out() -> None:
    segments: dict[str, Any] = {f"s{number}": {"rules": [asking_for(f"s{number + 1}")]} for number in range(40)}
    segments |= {"round": {"rules": [asking_for("round")]}}
    segments["s40"] = {"included": ["ada"]}
    flags = {key: of_launchdarkly(rules=[{"variation": 0, **asking_for(key)}]) for key in ("s0", "round", "s39")}
    flags["s36"] = of_launchdarkly(rules=[{"variation": 0, **asking_for("s36")}])
    definitions, reading = read("launchdarkly", {"flags": flags, "segments": segments})
    assert set(definitions) == {"s36", "s39"}  # 5 segments in a chain, and 2
    assert {(remark.flag, remark.issue.value) for remark in reading.remarks} == {
        ("s0", "segment"),
        ("round", "segment"),
    }


def test_a_segment_with_a_name_that_flagsite_does_not_take_leaves_its_flags_out() -> None:
    flag = of_launchdarkly(rules=[{"variation": 0, **asking_for("two words")}])
    definitions, reading = read("launchdarkly", {"flags": {"x": flag}, "segments": {"two words": {"key": "two words"}}})
    assert not definitions
    assert codes(reading) == {("x", "segment", False)}


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("flagd", {"flags": {"x": of_flagd(targeting={"fractional": [["on", 0], ["off", 0]]})}}),
        ("flagd", {"flags": {"x": {"variants": {"a": 1.5, "b": 10**400}, "defaultVariant": "a"}}}),
        ("flagd", {"flags": {"x": {"variants": {"a": 1, "b": 10**400}, "defaultVariant": "a"}}}),
        ("launchdarkly", {"flags": {"x": of_launchdarkly(rules=[
            {"variation": 0, "clauses": [{"attribute": "at", "op": "before", "values": [1e300]}]}])}}),
        ("growthbook", {"features": {"x": {"defaultValue": 1.5, "rules": [{"force": 10**400}]}}}),
        ("flagsmith", {"feature_states": [{"feature": {"name": "x"}, "feature_state_value": 10**400}]}),
    ],
)  # fmt: skip
def test_a_flag_with_impossible_numbers_is_left_out(source: str, content: Any) -> None:
    definitions, reading = read(source, content)
    assert not definitions
    assert [(remark.flag, remark.is_imported) for remark in reading.remarks] == [("x", False)]


@pytest.mark.parametrize("targeting", [{"if": [{}, "on"]}, {"if": [{"or": [{}]}, "on"]}, {"if": [{"!": [{}]}, "on"]}])
def test_an_empty_condition_is_left_out(targeting: Any) -> None:
    assert not read("flagd", {"flags": {"x": of_flagd(targeting=targeting)}})[0]


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("unleash", {"features": [], "featureStrategies": [1]}),
        ("unleash", {"features": [], "featureStrategies": None}),
        ("unleash", {"features": [{}], "featureStrategies": []}),
        ("unleash", {"features": [], "segments": 1}),
        ("flagsmith", {"feature_states": [], "project": "x"}),
        ("launchdarkly", {"items": [{"key": "x", "environments": [{}]}]}),
    ],
)
def test_a_file_of_another_form_is_refused(source: str, content: Any) -> None:
    with pytest.raises(InvalidFlagFile, match="The file has another form than the product writes"):
        read(source, content)


def test_a_segment_without_a_number_is_in_no_strategy() -> None:
    strategy = {"name": "default", "segments": [1]}
    feature = {"name": "x", "enabled": True, "strategies": [strategy]}
    _, reading = read("unleash", {"features": [feature], "segments": [{"id": []}]})
    assert codes(reading) == {("x", "segment", False)}


@pytest.mark.parametrize(
    "flag",
    [
        of_launchdarkly(fallthrough=by_organization()),
        of_launchdarkly(rules=[by_organization(clauses=[{"attribute": "plan", "op": "in", "values": ["pro"]}])]),
        of_launchdarkly(rules=[by_organization(clauses=[])]),
    ],
)
def test_who_has_not_what_a_share_counts_gets_the_lowest_share(flag: Any) -> None:
    definitions, _ = read("launchdarkly", {"flags": {"x": flag}})
    assert answer(definitions, "x", "ada", plan="pro") == "on"
    assert {answer(definitions, "x", "ada", plan="pro", company=f"c{number}") for number in range(50)} == {"on", "off"}


def test_who_has_not_what_a_share_counts_gets_the_first_variation_with_a_weight() -> None:
    shares = [{"variation": place, "weight": weight} for place, weight in enumerate((0, 50_000, 50_000))]
    flag = of_launchdarkly(variations=["a", "b", "c"], fallthrough={
        "rollout": {"bucketBy": "company", "variations": shares}})  # fmt: skip
    _, reading = read("launchdarkly", {"flags": {"x": flag}})
    assert reading.entries[0].values["default_variant"] == "variant-2"


def test_a_file_of_another_product_has_not_more_flags_than_a_flag_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_of_files, "MOST_FLAGS", 1)
    with pytest.raises(InvalidFlagFile, match="The file has more than 1 flags"):
        read("flagd", {"flags": {"x": of_flagd(), "y": of_flagd()}})


def test_a_flag_that_is_in_the_file_twice_is_left_out() -> None:
    def feature(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "enabled": True, "strategies": [{"name": "default"}], **more}

    wrong = feature("z", strategies=[{"name": "nothing like it"}])
    features = [feature("x"), feature("x", enabled=False), feature("y"), feature("z"), wrong]
    definitions, reading = read("unleash", {"features": features})
    assert set(definitions) == {"y"}
    assert codes(reading) == {("x", "form", False), ("z", "form", False)}
