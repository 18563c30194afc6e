"""The effective value agrees with every evaluation that it speaks for, whatever the flags and the tree."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.errors import TargetingKeyMissing
from flags.evaluation.effective_value import EffectiveValue, EffectiveValues, off_for_everybody
from flags.evaluation.engine import (
    NO_ORGANIZATION_CONTEXT,
    Decision,
    Definition,
    EvaluationContext,
    OrganizationContext,
    evaluate,
)
from flags.evaluation.reasons import Rule
from flags.evaluation.wants import Want
from flags.targeting.rule_rollouts import RuleRollout
from flags.tests.evaluation.evaluating import ENVIRONMENTS, USERS, definitions, places
from flags.tests.evaluation.test_evaluation_properties import ALL_AND_A_LATER_ONE, needing, outcome
from flags.values.types import FlagType
from flags.values.variants import Variant

environments = st.sampled_from([None, *ENVIRONMENTS, "elsewhere"])


@given(definitions(ALL_AND_A_LATER_ONE), places(), environments)
def test_a_value_that_does_not_depend_on_the_user_is_that_of_each_evaluation(
    flags: dict[str, Definition], place: OrganizationContext, environment: str | None
) -> None:
    """Also of the evaluation without a user: none is an error."""
    values = EffectiveValues(place, environment, flags)
    for key, definition in flags.items():
        value = values.of(key)
        if not value.depends_on_user:
            for user in (None, *USERS):
                decision = outcome(definition, place, EvaluationContext(user, environment), flags)
                assert isinstance(decision, Decision)
                assert (decision.enabled, decision.served) == (value.enabled, value.serves)


@given(definitions(), places(), environments)
def test_a_value_that_does_not_depend_on_the_user_names_the_rule_that_decides(
    flags: dict[str, Definition], place: OrganizationContext, environment: str | None
) -> None:
    values = EffectiveValues(place, environment, flags)
    for key, definition in flags.items():
        value = values.of(key)
        decision = outcome(definition, place, EvaluationContext("somebody", environment), flags)
        if not value.depends_on_user and isinstance(decision, Decision) and value.enabled:
            assert decision.rule == value.rule
        if value.rule in (Rule.ARCHIVED, Rule.KILLED):
            assert isinstance(decision, Decision)
            assert (decision.enabled, decision.rule) == (False, value.rule)


@given(definitions(), places(), environments)
def test_a_flag_that_is_off_but_for_some_users_is_off_for_users_whom_no_whitelist_names(
    flags: dict[str, Definition], place: OrganizationContext, environment: str | None
) -> None:
    """A targeting rule may match users whom nobody names, so there are only rules that depend on no user here."""
    flags = {
        key: dataclasses.replace(
            each, targeting_rules=tuple(rule for rule in each.targeting_rules if not rule.depends_on_user)
        )
        for key, each in flags.items()
    }
    values = EffectiveValues(place, environment, flags)
    for key, definition in flags.items():
        if not values.of(key).enabled:
            decision = outcome(definition, place, EvaluationContext("nobody-knows-me", environment), flags)
            assert not isinstance(decision, Decision) or not decision.enabled


@given(definitions(), places(), environments)
def test_a_flag_that_is_off_for_everybody_is_on_nowhere(
    flags: dict[str, Definition], place: OrganizationContext, environment: str | None
) -> None:
    for key, definition in flags.items():
        cause = off_for_everybody(key, flags)
        if cause is not None:
            for user in (None, *USERS):
                decision = outcome(definition, place, EvaluationContext(user, environment), flags)
                assert isinstance(decision, Decision)
                assert (decision.enabled, decision.rule) == (False, cause.rule)
            value = EffectiveValues(place, environment, flags).of(key)
            assert (value.enabled, value.rule, value.depends_on_user) == (False, cause.rule, False)


def value_of(flag: Definition, *others: Definition, environment: str | None = None) -> EffectiveValue:
    flags = {one.key: one for one in (flag, *others)}
    return EffectiveValues(NO_ORGANIZATION_CONTEXT, environment, flags).of(flag.key)


def test_a_rollout_of_users_gives_its_percentage() -> None:
    value = value_of(Definition(1, "f", enabled=True, threshold=12_500))
    assert (value.enabled, value.rule, value.depends_on_user, value.rollout_percentage) == (
        True, Rule.ROLLOUT, True, 12.5,
    )  # fmt: skip


def test_no_user_is_in_a_rollout_of_nothing() -> None:
    value = value_of(Definition(1, "f", enabled=True, threshold=0))
    assert (value.enabled, value.depends_on_user, value.rollout_percentage) == (False, False, None)


def test_a_whitelist_makes_a_flag_depend_on_the_user_only_where_it_is_off() -> None:
    off = value_of(Definition(1, "f", whitelist=frozenset({"vip"})))
    on = value_of(Definition(1, "f", enabled=True, whitelist=frozenset({"vip"})))
    killed = value_of(Definition(1, "f", killed=True, whitelist=frozenset({"vip"})))
    assert [(one.enabled, one.depends_on_user) for one in (off, on, killed)] == [
        (False, True), (True, False), (False, False),
    ]  # fmt: skip


def test_a_prerequisite_that_depends_on_the_user_makes_a_flag_depend_too() -> None:
    half = Definition(2, "half", enabled=True, threshold=50_000)
    on = value_of(Definition(1, "f", enabled=True, prerequisites=("half",)), half)
    off = value_of(Definition(1, "f", prerequisites=("half",)), half)
    assert (on.enabled, on.rule, on.depends_on_user, on.rollout_percentage) == (True, Rule.PREREQUISITE, True, None)
    assert (off.enabled, off.rule, off.depends_on_user) == (False, Rule.DEFAULT, False)


def test_a_flag_that_wants_a_variant_which_the_default_rollout_gives_some_users_may_be_on() -> None:
    split = Definition(
        2, "split", enabled=True, type=FlagType.STRING, default_variant="blue",
        variants=(Variant(1, "blue", "b"), Variant(2, "red", "r")),
    )  # fmt: skip
    flag = Definition(1, "f", enabled=True, prerequisites=("split",), wants={"split": Want(variant="red")})
    by_user, by_place = (
        dataclasses.replace(split, default_rollout=RuleRollout(0, by, ranges=(("blue", 50_000), ("red", 100_000))))
        for by in ("targetingKey", "organization")
    )
    found = [value_of(flag, each) for each in (by_user, by_place)]
    assert [(each.enabled, each.depends_on_user) for each in found] == [(True, True), (False, False)]
    assert [value_of(each).depends_on_user for each in (by_user, by_place)] == [True, False]


def test_an_override_counts_in_its_environment_only() -> None:
    flag = Definition(1, "f", environments={"staging": True})
    found = [value_of(flag, environment=name) for name in ("staging", "production", None)]
    assert [(one.enabled, one.rule) for one in found] == [
        (True, Rule.ENVIRONMENT), (False, Rule.DEFAULT), (False, Rule.DEFAULT),
    ]  # fmt: skip


@pytest.mark.parametrize("stopped", [{"killed": True}, {"archived": True}, {"enabled": False}])
def test_a_prerequisite_that_is_off_for_everybody_decides_before_one_that_needs_the_user(
    stopped: dict[str, bool],
) -> None:
    half = Definition(2, "half", enabled=True, threshold=50_000)
    off = dataclasses.replace(Definition(3, "off", enabled=True), **stopped)
    flag = Definition(1, "f", enabled=True, prerequisites=("half", "off"))
    value = value_of(flag, half, off)
    decision = evaluate(flag, NO_ORGANIZATION_CONTEXT, EvaluationContext(), {"half": half, "off": off})
    assert (value.enabled, value.rule, value.depends_on_user) == (False, Rule.PREREQUISITE, False)
    assert (decision.enabled, decision.rule) == (False, Rule.PREREQUISITE)


def test_the_value_of_the_flag_itself_decides_if_it_is_off_and_a_prerequisite_needs_the_user() -> None:
    half = Definition(2, "half", enabled=True, threshold=50_000)
    flag = Definition(1, "f", prerequisites=("half",))
    decision = evaluate(flag, NO_ORGANIZATION_CONTEXT, EvaluationContext(), {"half": half})
    assert (decision.enabled, decision.rule) == (False, Rule.DEFAULT)
    undecided = next(step for step in decision.steps if step.rule == Rule.PREREQUISITE)
    assert (undecided.enabled, undecided.detail) == (
        None,
        "This rule cannot be decided. The rollout of the flag 'half' needs a targeting key, and the request has none.",
    )
    with pytest.raises(TargetingKeyMissing, match="'half'") as raised:
        evaluate(dataclasses.replace(flag, enabled=True), NO_ORGANIZATION_CONTEXT, EvaluationContext(), {"half": half})
    assert [step.rule for step in raised.value.steps] == [Rule.ARCHIVED, Rule.KILLED]


def test_prerequisites_that_meet_again_and_again_are_decided_once() -> None:
    """Two flags a level would be 2 to the 20 ways."""
    flags = needing(21, 2)
    assert EffectiveValues(NO_ORGANIZATION_CONTEXT, None, flags).of("020-0").depends_on_user
    assert off_for_everybody("020-0", flags) is None
