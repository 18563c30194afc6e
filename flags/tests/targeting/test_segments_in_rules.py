"""What a clause with `inSegment` says, and what of an evaluation it reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.targeting.places import NOWHERE, PlaceOf
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import Clause, EvaluatedSegment, SegmentRule, TargetingRule, segment_rules_of
from flags.targeting.segments import Segments, keys_named_in
from flags.targeting.traces import lines_of, traces_of
from flags.tests.evaluation.evaluating import ATTRIBUTES, USERS, clauses, segments

PRO = Clause("plan", "in", ("pro",))
NORTH = Clause("", "inSubtree", ("north",))


def segment(key: str, *rules: Clause, **lists: Any) -> EvaluatedSegment:
    """A segment with one rule for each clause."""
    made = tuple(SegmentRule(f"rule-{number}", (clause,)) for number, clause in enumerate(rules, 1))
    return EvaluatedSegment(key, "1-1", rules=made, **lists)


def asking(*keys: str, negate: bool = False, among: list[EvaluatedSegment]) -> Clause:
    """A clause that asks for segments, which are among these."""
    rule = TargetingRule("one", (Clause("", "inSegment", keys, negate),), enabled=True)
    (resolved,) = Segments({each.key: each for each in among}).resolved([rule])
    return resolved.clauses[0]


BETA = segment("beta", PRO, NORTH, included=("ann", "both"), excluded=("bob", "both"))


@pytest.mark.parametrize(
    ("attributes", "user", "keys", "is_in"),
    [
        ({"plan": "pro"}, "cleo", (), True),
        ({}, "cleo", ("root", "north"), True),  # the rules are ORed
        ({"plan": "free"}, "cleo", ("root",), False),
        ({}, "ann", (), True),
        ({"plan": "pro"}, "bob", (), False),
        ({}, "both", (), True),  # included beats excluded
        ({"plan": "pro"}, "", (), True),
        ({}, "", (), False),
    ],
)
def test_included_keys_count_before_excluded_ones_and_these_before_rules(
    attributes: dict[str, Any], user: str, keys: tuple[str, ...], *, is_in: bool
) -> None:
    assert asking("beta", among=[BETA]).test(attributes, user, PlaceOf(keys)) is is_in
    assert asking("beta", negate=True, among=[BETA]).test(attributes, user, PlaceOf(keys)) is not is_in


def test_a_segment_that_does_not_exist_matches_nobody_negated_or_not() -> None:
    for negate in (False, True):
        alone = asking("gone", negate=negate, among=[BETA])
        assert not alone.test({"plan": "pro"}, "ann", NOWHERE)
        assert alone.why_never == "There is no segment 'gone'."
    assert asking("gone", "beta", among=[BETA]).test({}, "ann", NOWHERE), "the other one counts"
    assert not asking("gone", "beta", negate=True, among=[BETA]).test({}, "cleo", NOWHERE)


def test_one_of_several_segments_is_enough() -> None:
    among = [BETA, segment("staff", included=("zoe",))]
    assert asking("beta", "staff", among=among).test({}, "zoe", NOWHERE)
    assert not asking("beta", "staff", negate=True, among=among).test({}, "zoe", NOWHERE)
    assert asking("beta", "staff", negate=True, among=among).test({}, "cleo", NOWHERE)


def test_a_segment_may_name_segments() -> None:
    among = [segment("a", Clause("", "inSegment", ("b",))), segment("b", Clause("", "inSegment", ("beta",))), BETA]
    assert asking("a", among=among).test({}, "ann", NOWHERE)
    assert not asking("a", among=among).test({}, "bob", NOWHERE)


def test_a_stored_circle_ends_and_matches_nobody() -> None:
    among = [segment("a", Clause("", "inSegment", ("b",))), segment("b", Clause("", "inSegment", ("a",)))]
    assert not asking("a", among=among).test({}, "ann", NOWHERE)


def test_a_clause_reads_what_the_rules_of_its_segments_read() -> None:
    outer = segment("outer", Clause("", "inSegment", ("beta",)), Clause("company.size", "gt", (1,)))
    clause = asking("outer", among=[outer, BETA])
    assert (clause.reads, clause.depends_on_user, clause.asks_for_path) == ({"plan", "company.size"}, True, True)
    places = asking("places", among=[segment("places", NORTH)])
    assert (places.reads, places.depends_on_user, places.asks_for_path) == (set(), False, True)
    listed = asking("listed", among=[segment("listed", included=("ann",))])
    assert (listed.reads, listed.depends_on_user, listed.asks_for_path) == (set(), True, False)


def test_a_rule_that_asks_only_for_places_is_decided_without_a_user() -> None:
    clause = asking("places", among=[segment("places", NORTH)])
    rule = TargetingRule("one", (clause, PRO), None, RuleRollout(1, "organization"))
    assert (rule.can_match(PlaceOf(("north",))), rule.can_match(PlaceOf(("south",)))) == (True, False)


def test_a_segment_is_another_one_for_the_cache_when_its_revision_is() -> None:
    former, latter = (EvaluatedSegment("s", revision, included=("ann",)) for revision in ("1-1", "1-2"))
    assert repr(former) != repr(latter)
    assert "ann" not in repr(former), "thousands of keys are not written for each flag"


def test_the_trace_shows_what_the_rules_of_the_segment_compared() -> None:
    outer = segment("outer", Clause("", "inSegment", ("beta",)))
    rule = TargetingRule("one", (asking("outer", among=[outer, BETA]),), enabled=True)
    (trace,) = traces_of([rule], {"plan": "free"}, "cleo", PlaceOf(("root", "north")))
    (clause,) = trace.clauses
    assert (clause.op, clause.compared, clause.matches) == ("inSegment", ["outer"], True)
    assert clause.why == 'The user is in the segment "outer": in ["outer"] matches.'
    (of_outer,) = clause.segments
    assert (of_outer.key, of_outer.why) == ("outer", "The rule 'rule-1' of the segment matches.")
    (of_beta,) = of_outer.rules[0].clauses[0].segments
    assert [(each.id, each.matches) for each in of_beta.rules] == [("rule-1", False), ("rule-2", True)]
    assert of_beta.rules[0].clauses[0].compared == "free"
    (listed,) = traces_of([rule], {}, "bob", NOWHERE)[0].clauses[0].segments[0].rules[0].clauses[0].segments
    assert (listed.why, listed.rules) == ("The targeting key is one of the excluded keys.", [])
    assert lines_of(trace.clauses) == [
        'The user is in the segment "outer": in ["outer"] matches.',
        "  outer: The rule 'rule-1' of the segment matches.",
        "    rule-1:",
        '      The user is in the segment "beta": in ["beta"] matches.',
        "        beta: The rule 'rule-2' of the segment matches.",
        "          rule-1:",
        '            The attribute \'plan\' is "free": in ["pro"] does not match.',
        "          rule-2:",
        '            The path of the organization is ["root","north"]: inSubtree ["north"] matches.',
    ]


@given(
    segments(),
    clauses(),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in ATTRIBUTES.items()}),
    st.sampled_from(USERS),
    st.lists(st.sampled_from(["org-10", "org-11", "org-12"]), unique=True).map(tuple),
)
def test_the_trace_of_a_clause_says_what_the_clause_says(
    known: Segments, clause: Clause, attributes: dict[str, Any], user: str, keys: tuple[str, ...]
) -> None:
    (resolved,) = known.resolved([TargetingRule("one", (clause,), enabled=True)])
    (trace,) = traces_of([resolved], attributes, user, PlaceOf(keys))
    assert trace.matches is resolved.matches(attributes, user, PlaceOf(keys))
    segments_of_clause = {segment.key: segment for segment in resolved.clauses[0].segments}
    for each in trace.clauses[0].segments:
        assert each.matches is segments_of_clause[each.key].test(attributes, user, PlaceOf(keys))


def test_what_cannot_be_read_in_the_rules_of_a_segment_matches_nobody() -> None:
    assert segment_rules_of("x") == segment_rules_of([1, {"clauses": []}, {"clauses": [1]}]) == ()


def test_the_segments_that_rules_name_are_found() -> None:
    rules = [{"clauses": [{"op": "inSegment", "values": ["a", "b"]}, {"attribute": "plan", "op": "exists"}]}]
    assert keys_named_in(rules) == {"a", "b"}
