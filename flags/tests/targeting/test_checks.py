"""What somebody may write as targeting rules, and in which form a definition keeps them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from flags.targeting.checks import MAX_RULES, MAX_VALUES, checked_rules, checked_segment_rules
from flags.targeting.rules import rules_of
from flags.targeting.rules_schema import RULES_SCHEMA
from flags.targeting.words import rule_in_words

CLAUSE = {"attribute": "plan", "op": "in", "values": ["pro"]}
ON = {"variant": "on"}


def rule(*clauses: Any, serve: Any = ON, **others: Any) -> dict[str, Any]:
    return {"clauses": list(clauses) or [CLAUSE], "serve": serve, **others}


def refusal(*rules: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        checked_rules(list(rules))
    return str(refused.value.messages[0])


def test_rules_keep_what_they_say_and_get_ids() -> None:
    written = [
        rule(CLAUSE | {"negate": False}),
        rule({"op": "level", "values": [1]}, serve={"rollout": {"on": 12.5, "off": 87.5}}, id="rule-1"),
        rule({"attribute": "plan", "op": "exists", "negate": True}, description="Nobody knows the plan."),
    ]
    kept = checked_rules(written)
    assert kept == [
        {"id": "rule-2", "clauses": [CLAUSE], "serve": ON},
        {
            "id": "rule-1",
            "clauses": [{"op": "level", "values": [1]}],
            "serve": {"rollout": {"on": 12.5, "off": 87.5}, "by": "targetingKey"},
        },
        {
            "id": "rule-3",
            "description": "Nobody knows the plan.",
            "clauses": [{"attribute": "plan", "op": "exists", "negate": True}],
            "serve": ON,
        },
    ]
    assert checked_rules(kept) == kept
    assert [one.id for one in rules_of(kept)] == ["rule-2", "rule-1", "rule-3"]
    jsonschema.validate(kept, RULES_SCHEMA)


def test_rules_have_100_regular_expressions_at_most() -> None:
    def searching(count: int) -> dict[str, Any]:
        return {"attribute": "n", "op": "matches", "values": [f"a{number}" for number in range(count)]}

    assert checked_rules([rule(searching(50), searching(49)), rule(searching(1))])
    assert "more than 100 regular expressions" in refusal(rule(searching(50), searching(50)), rule(searching(1)))
    with pytest.raises(ValidationError, match="more than 100 regular expressions"):
        checked_segment_rules([{"clauses": [searching(101)]}])
    assert checked_rules([rule({"attribute": "n", "op": "in", "values": [f"a{number}" for number in range(101)]})])
    assert "pattern too large" in refusal(rule({"attribute": "n", "op": "matches", "values": [r"\pL{40}"]}))


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**400])
def test_a_whole_number_that_not_every_language_reads_is_refused(number: int) -> None:
    assert "A whole number is not from" in refusal(rule({"attribute": "n", "op": "in", "values": [number]}))
    assert checked_rules([rule({"attribute": "n", "op": "in", "values": [2**53 - 1, 1e300]})])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "Rule 1: A rule is an object."),
        (rule(id="my rule"), "Rule 1: An id has 1 to 64"),
        (rule() | {"name": "x"}, "Rule 1: Unknown member 'name'. A rule has: clauses, description, id, serve."),
        ({"serve": ON, "clauses": []}, "Rule 1: It needs a list `clauses` with 1 to 20 clauses."),
        (rule(*[CLAUSE] * 21), "Rule 1: It needs a list `clauses` with 1 to 20 clauses."),
        (rule({"op": "in", "values": ["a"]}), "Rule 1, clause 1: The operator in needs an attribute."),
        (rule(CLAUSE, CLAUSE | {"op": "level"}), "Rule 1, clause 2: The operator level takes no attribute"),
        (rule(CLAUSE | {"op": "equals"}), "Rule 1, clause 1: Unknown operator 'equals'. The operators are: in,"),
        (rule(CLAUSE | {"values": []}), "Rule 1, clause 1: It needs a list `values` with 1 to 1,000 values."),
        (rule(CLAUSE | {"values": ["a"] * (MAX_VALUES + 1)}), "Rule 1, clause 1: It needs a list `values`"),
        (rule(CLAUSE | {"values": ["\x00"]}), "Rule 1, clause 1: A value is not a text"),
        (rule(CLAUSE | {"values": [None]}), "Rule 1, clause 1: The value 'None' is not a text, a number, true or"),
        (rule(CLAUSE | {"values": [float("inf")]}), "Rule 1, clause 1: A value is not a number that JSON has."),
        (rule(CLAUSE | {"negate": 1}), "Rule 1, clause 1: `negate` is neither true nor false."),
        (rule(CLAUSE | {"op": "lt", "values": [1], "ignoreCase": True}), "The operator lt knows no `ignoreCase`."),
        (rule(CLAUSE | {"op": "lt", "values": ["1"]}), "Rule 1, clause 1: The value '1' is not a number."),
        (rule(CLAUSE | {"op": "matches", "values": ["(?=a)"]}), "is not a regular expression of RE2"),
        (rule(CLAUSE | {"op": "matches", "values": ["a" * 257]}), "is not a regular expression of RE2 with at most"),
        (rule(CLAUSE | {"op": "before", "values": ["2026-01-01"]}), "is not a time with a zone"),
        (rule(CLAUSE | {"op": "inCidr", "values": ["10.0.0.0/33"]}), "is not an IP address or a network"),
        (rule(CLAUSE | {"op": "semverLt", "values": ["latest"]}), "The value 'latest' is not a version"),
        (rule(CLAUSE | {"op": "exists"}), "The value 'pro' is not nothing: the operator takes no values."),
        (rule({"op": "level", "values": [True]}), "is not a level"),
        (rule({"op": "inSubtree", "values": [5]}), "is not the key of an organization"),
        (rule(serve={}), 'Rule 1: It needs `serve`: {"variant": "on"}, or'),
        (rule(serve={"variant": "a b"}), "Rule 1: The key of a variant has 1 to 255"),
        (rule(serve={"rollout": {"on": 70}}), "Rule 1: The weights of `rollout` do not add up to 100."),
        (rule(serve={"rollout": {"on": 0.0001, "off": 99.9999}}), "with at most three decimals"),
        (rule(serve={"rollout": {"on": 100}, "by": "ancestor"}), "`by: ancestor` needs a `level`"),
        (rule(serve={"rollout": {"on": 100}, "level": 1}), "`by: ancestor` needs a `level`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(wrong: Any, message: str) -> None:
    assert message in refusal(wrong)


def test_ids_are_different_and_rules_are_few() -> None:
    assert "Two rules have the id 'a'" in refusal(rule(id="a"), rule(id="b"), rule(id="a"))
    assert f"at most {MAX_RULES} rules" in refusal(*[rule()] * (MAX_RULES + 1))


NAMES = st.sampled_from(["id", "clauses", "serve", "op", "attribute", "values", "variant", "rollout", "on", "by"])
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(NONSENSE)
def test_nonsense_is_refused_or_kept_and_raises_nothing_else(content: Any) -> None:
    try:
        kept = checked_rules(content)
    except ValidationError:
        return
    assert checked_rules(kept) == kept


@pytest.mark.parametrize(
    ("clause", "serve", "words"),
    [
        (CLAUSE, ON, 'plan is "pro": on'),
        (CLAUSE | {"negate": True, "ignoreCase": True}, {"variant": "off"}, 'plan is not "pro" (in any case): off'),
        ({"attribute": "age", "op": "gte", "values": [18]}, {"rollout": {"on": 12.5, "off": 87.5}},
         "age ≥ 18: on for 12.5 % of users"),
        ({"op": "inSubtree", "values": ["acme", "rival"]},
         {"rollout": {"on": 5, "off": 95}, "by": "ancestor", "level": 1},
         'the organization is at or below "acme" or "rival": on for 5 % of ancestors at level 1'),
        ({"attribute": "plan", "op": "exists", "negate": True}, {"rollout": {"on": 5, "off": 95}, "by": "company"},
         "plan is missing: on for 5 % of values of company"),
        ({"attribute": "n", "op": "in", "values": [1, 2, 3, 4, 5, 6, 7]}, ON,
         "n is 1 or 2 or 3 or 4 or 5 or 2 more: on"),
    ],
)  # fmt: skip
def test_a_rule_in_words(clause: dict[str, Any], serve: dict[str, Any], words: str) -> None:
    (kept,) = checked_rules([rule(clause, serve=serve)])
    assert rule_in_words(kept) == words
