"""What each operator says, with the cases in which flag systems disagree."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from flags.definitions.models import Flag
from flags.targeting.operators import OPERATORS
from flags.targeting.places import NOWHERE, PlaceOf
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import Clause, TargetingRule, rules_of
from flags.targeting.versions import version_of

TEXT = st.text("a1.-:/T\ud83dü", max_size=8)
EVERY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def says(value: Any, op: str, *values: Any, ignore_case: bool = False, negate: bool = False) -> bool:
    clause = Clause("a", op, values, negate=negate, ignore_case=ignore_case)
    return clause.test({"a": value}, "", NOWHERE)


@pytest.mark.parametrize(
    ("value", "op", "values", "matches"),
    [
        ("pro", "in", ["free", "pro"], True),
        ("Pro", "in", ["pro"], False),
        (12, "in", ["12"], False),
        ("12", "in", [12], False),
        (12.0, "in", [12], True),
        (True, "in", [1], False),
        (1, "in", [True], False),
        (False, "in", [False], True),
        (["a", "b"], "in", ["b"], True),
        (["a", None], "in", ["b"], False),
        ([], "in", ["b"], False),
        ({"a": 1}, "in", ["a"], False),
        ("pro-eu", "startsWith", ["pro-", "x"], True),
        ("pro-eu", "endsWith", ["-us", "-eu"], True),
        ("ann@acme.example", "contains", ["@acme."], True),
        (5, "contains", ["5"], False),
        (18, "gte", [18], True),
        (18, "gt", [18], False),
        (17.9, "lt", [18], True),
        (18, "lte", [17, 18], True),
        ("17", "lt", [18], False),
        (True, "lt", [18], False),
        ("2026-01-01T00:00:00Z", "before", ["2026-01-01T01:00:00+00:30"], True),
        ("2026-01-01T00:00:00+02:00", "after", ["2025-12-31T21:59:59Z"], True),
        ("2026-01-01t00:00:00z", "before", ["2027-01-01T00:00Z"], True),
        ("2026-01-01T00:00:00", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-01-01", "before", ["2027-01-01T00:00:00Z"], False),
        (1767225600, "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-01-01 00:00:00.123456789Z", "before", ["2027-01-01T00:00:00Z"], True),
        ("2026-W10-1T12:00Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-11-30T120000Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-11-30T12:00:00+01", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-11-30T12:00:00+01:00:30", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-11-30T12:00:00,5Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("2026-11-30T24:00:00Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("٢٠٢٦-11-30T12:00:00Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("2016-12-31T23:59:60Z", "after", ["2016-12-31T23:59:59.999Z"], True),
        ("2016-12-31T23:59:60Z", "before", ["2017-01-01T00:00:00.001Z"], True),
        ("2016-12-31T23:59:61Z", "before", ["2027-01-01T00:00:00Z"], False),
        ("9999-12-31T23:59:60Z", "after", ["2027-01-01T00:00:00Z"], False),
        ("v2.0.0", "semverEq", ["2"], True),
        ("2.0.0+build.5", "semverEq", ["2.0.0"], True),
        ("2.0.0-rc.1", "semverLt", ["2.0.0"], True),
        ("2.0.0-rc.10", "semverGt", ["2.0.0-rc.9"], True),
        ("2.0.0-rc.1", "semverGt", ["2.0.0-rc"], True),
        ("2.0.0-1", "semverLt", ["2.0.0-a"], True),
        ("1.10", "semverGte", ["1.9.5"], True),
        ("01.2.3", "semverGt", ["0.1.0"], False),
        ("a.b.c.d.e.f", "semverGt", ["1.2.3"], False),
        (2, "semverEq", ["2"], False),
        ("10.1.2.3", "inCidr", ["10.0.0.0/8"], True),
        ("11.1.2.3", "inCidr", ["10.0.0.0/8", "11.1.2.3"], True),
        ("::ffff:10.1.2.3", "inCidr", ["10.0.0.0/8"], True),
        ("10.1.2.3", "inCidr", ["::ffff:10.0.0.0/104"], True),
        ("::ffff:10.1.2.3", "inCidr", ["::/0"], True),
        ("::ffff:10.1.2.3", "inCidr", ["::ffff:0:0/95"], True),
        ("::ffff:10.1.2.3", "inCidr", ["::ffff:0:0/96"], True),
        ("::ffff:10.1.2.3", "inCidr", ["::ffff:10.1.2.3"], True),
        ("::ffff:10.1.2.3", "inCidr", ["11.0.0.0/8", "2000::/3"], False),
        ("10.1.2.3", "inCidr", ["::/0"], False),
        ("::10.1.2.3", "inCidr", ["10.0.0.0/8"], False),
        ("2001:db8::1", "inCidr", ["2001:db8::/32"], True),
        ("2001:db8::1", "inCidr", ["10.0.0.0/8"], False),
        ("10.0.0.0/8", "inCidr", ["10.0.0.0/8"], False),
        (167837955, "inCidr", ["10.0.0.0/8"], False),
        ("ann@acme.example", "matches", [r"@acme\.example$"], True),
        ("ann@acme.example", "matches", [r"^acme"], False),
        (7, "matches", ["7"], False),
        ("caf\ud83d", "matches", ["caf"], False),
        ("b" * 4_095 + "a", "matches", ["a"], True),
        ("b" * 4_096 + "a", "matches", ["a"], False),
        ("x", "exists", [], True),
        (False, "exists", [], True),
    ],
)
def test_an_operator_compares_without_converting(value: Any, op: str, values: list[Any], matches: bool) -> None:
    assert says(value, op, *values) is matches
    assert says(value, op, *values, negate=True) is not matches


@pytest.mark.parametrize("op", [*OPERATORS, "of a later version"])
def test_a_missing_or_null_attribute_does_not_match_negated_or_not(op: str) -> None:
    values: dict[str, Any] = {"before": "2026-01-01T00:00Z", "after": "2026-01-01T00:00Z", "inCidr": "10.0.0.0/8"}
    value = values.get(op, "2" if op.startswith("semver") or (op in OPERATORS and OPERATORS[op].takes_case) else 2)
    for attributes, negate in itertools.product(({}, {"a": None}, {"b": 1}), (False, True)):
        clause = Clause("a", op, () if op == "exists" else (value,), negate=negate)
        assert clause.test(attributes, "", NOWHERE) is (op == "exists" and negate)


def test_an_unknown_operator_and_a_broken_value_match_nobody_and_say_why() -> None:
    for clause, why in (
        (Clause("a", "soundsLike", ("b",)), "The operator 'soundsLike' is unknown."),
        (Clause("a", "matches", ("(?=b)",)), "A value is not a regular expression of RE2"),
        (Clause("a", "lt", ("b",)), "A value is not a number."),
    ):
        for negate in (False, True):
            made = Clause("a", clause.op, clause.values, negate=negate)
            assert not made.test({"a": "b"}, "", NOWHERE)
            assert made.why_never.startswith(why)


def test_ignore_case_compares_texts_in_any_case() -> None:
    assert says("STRASSE", "in", "straße", ignore_case=True)
    assert says("Ann@ACME.example", "endsWith", "@acme.EXAMPLE", ignore_case=True)
    assert says("PRO", "matches", "^pro$", ignore_case=True)
    assert not says("PRO", "matches", "^pro$")


def test_a_path_with_dots_reads_a_member_of_an_object_and_the_whole_name_counts_first() -> None:
    clause = Clause("company.size", "gt", (10,))
    assert clause.test({"company": {"size": 11}}, "", NOWHERE)
    assert not clause.test({"company": {"size": 11}, "company.size": 3}, "", NOWHERE)
    assert not clause.test({"company": "acme"}, "", NOWHERE)
    assert not clause.test({"company": None}, "", NOWHERE)


def test_the_tree_is_asked_without_an_attribute_and_never_matches_without_an_organization() -> None:
    path = PlaceOf(("acme", "north", "oslo"))
    for clause, matches in (
        (Clause("", "inSubtree", ("north",)), True),
        (Clause("", "inSubtree", ("oslo", "south")), True),
        (Clause("", "inSubtree", ("south",)), False),
        (Clause("", "level", (2,)), True),
        (Clause("", "level", (0, 1)), False),
    ):
        negated = Clause("", clause.op, clause.values, negate=True)
        assert (clause.test({}, "", path), negated.test({}, "", path)) == (matches, not matches)
        assert not clause.test({}, "", NOWHERE)
        assert not negated.test({}, "", NOWHERE)


def test_the_targeting_key_is_an_attribute() -> None:
    assert Clause("targetingKey", "startsWith", ("ann",)).test({"targetingKey": "bob"}, "anna", NOWHERE)
    assert not Clause("targetingKey", "exists").test({}, "", NOWHERE)
    assert Clause("targetingKey", "exists", negate=True).test({}, "", NOWHERE)


def test_times_of_python_code_compare_too() -> None:
    assert says(datetime(2026, 1, 1, tzinfo=UTC), "before", "2026-01-01T00:00:01Z")
    assert not says(datetime(2026, 1, 1), "before", "2027-01-01T00:00:00Z")  # noqa: DTZ001 - without a zone


class Plan(str, Enum):  # noqa: UP042 - code in use has such classes
    PRO = "pro"

    def __hash__(self) -> int:
        return id(self)


class Seats(IntEnum):
    FIVE = 5


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("others", [(), (1,)])
def test_a_subclass_of_str_compares_as_its_text(ignore_case: bool, others: tuple[int, ...]) -> None:
    for value in (Plan.PRO, SafeString("pro"), Flag.Kind.RELEASE):
        text = str.__str__(value)
        assert says(value, "in", text, *others, ignore_case=ignore_case)
        assert not says(value, "in", text, *others, ignore_case=ignore_case, negate=True)
        assert says([value], "in", text, *others, ignore_case=ignore_case)
        assert says(value, "startsWith", text[:2], ignore_case=ignore_case)


@pytest.mark.parametrize(("op", "values"), [("in", [5]), ("in", [5, "a"]), ("gte", [5]), ("lte", [5]), ("gt", [4])])
def test_a_subclass_of_a_number_compares_as_its_number_and_a_bool_does_not(op: str, values: list[Any]) -> None:
    class Half(float):
        pass

    assert says(Seats.FIVE, op, *values)
    assert says(Half(5), op, *values)
    assert not says(True, op, *values)


@pytest.mark.parametrize("value", [Decimal(5), float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("op", ["in", "lt", "lte", "gt", "gte"])
def test_what_is_no_number_of_json_is_none_for_clauses(value: Any, op: str) -> None:
    assert not says(value, op, 5)
    assert says(value, op, 5, negate=True)


@given(EVERY_JSON, st.sampled_from([name for name in OPERATORS if name != "exists"]))
def test_no_value_of_an_attribute_raises(value: Any, op: str) -> None:
    values = {"before": "2026-01-01T00:00Z", "after": "2026-01-01T00:00Z", "inCidr": "10.0.0.0/8", "matches": "a+"}
    given_ = values.get(op, "1.0" if op.startswith("semver") else "a" if OPERATORS[op].takes_case else 1)
    assert Clause("a", op, (given_,)).test({"a": value}, "", NOWHERE) in (True, False)


@given(EVERY_JSON)
def test_nothing_in_a_stored_definition_raises(content: Any) -> None:
    for wrapped in (content, [content], [{"clauses": [content], "serve": content}], [{"clauses": content}]):
        for rule in rules_of(wrapped):
            assert rule.matches({"a": 1}, "u", PlaceOf(("acme",))) in (True, False)


VERSIONS = [
    "0.0.1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "2", "10.0.0",
]  # fmt: skip


def test_versions_are_in_the_order_of_semantic_versioning() -> None:
    """Section 11 of SemVer has the middle of this list."""
    found = [version_of(text) for text in VERSIONS]
    assert None not in found
    assert sorted(found, key=lambda each: each or ()) == found


def test_an_attribute_is_a_unit_of_a_rollout_if_it_is_a_text_or_a_whole_number() -> None:
    rollout = RuleRollout(50_000, by="company")
    values: list[Any] = ["acme", 7, "7", True, 7.5, None, {}, ""]
    units = [rollout.unit({"company": value}, "u", PlaceOf(("acme",))) for value in values]
    assert units == ["acme", "7", "7", "", "", "", "", ""]


def test_a_rule_says_what_it_reads_and_whether_users_of_one_organization_differ() -> None:
    of_tree = TargetingRule("r", (Clause("", "level", (1,)),), enabled=True)
    of_user = TargetingRule("r", (Clause("plan", "in", ("pro",)), Clause("", "level", (1,))), None, RuleRollout(1, "x"))
    by_organization = TargetingRule("r", of_tree.clauses, None, RuleRollout(1, "organization"))
    assert (of_tree.reads, of_user.reads, by_organization.reads) == (set(), {"plan", "x"}, set())
    assert [rule.depends_on_user for rule in (of_tree, of_user, by_organization)] == [False, True, False]
    assert (of_user.can_match(PlaceOf(("acme", "north"))), of_user.can_match(PlaceOf(("acme",)))) == (True, False)
