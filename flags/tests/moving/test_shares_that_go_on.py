"""Rules of a product, of which the first that has a share for a user decides, are targeting rules that decide alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.evaluation.rollout import bucketing
from flags.moving.issues import Issue, NoEqual
from flags.moving.sources.conditions import ALWAYS, NEVER, Condition, asks
from flags.moving.sources.shares import MOST_PARTS, Shares, Step, in_order, shares_of, unit
from flags.targeting.rules import rules_of
from flags.values.types import FlagType
from flags.values.variants import Variant

CONDITIONS = [ALWAYS, NEVER, asks("plan", "in", ["pro"]), asks("beta", "in", [True], negate=True, missing=True)]
VARIANTS = ["a", "b", "c"]
USERS = [(key, plan, beta) for key in ("", "u1", "u2", "u3", "u4", "u5") for plan in ("pro", "") for beta in (0, 1)]
EDGES = st.integers(0, 100).map(lambda per_cent: per_cent / 100)
PARTS = st.lists(st.tuples(EDGES, EDGES, st.sampled_from([*VARIANTS, None])), max_size=4)
SHARES = st.builds(shares_of, PARTS, st.just("targetingKey"), st.just("salt"), st.just(6))
STEPS = st.builds(Step, st.sampled_from(CONDITIONS), st.one_of(SHARES, st.sampled_from(VARIANTS)))


def holds(condition: Condition, plan: str, beta: int) -> bool:
    return any(
        condition is each for each in (ALWAYS, CONDITIONS[2] if plan else ALWAYS, CONDITIONS[3] if not beta else ALWAYS)
    )


def decided(steps: list[Step], key: str, plan: str, beta: int) -> str:
    """What the product does: it goes from rule to rule until one has something for the user."""
    for step in steps:
        if not holds(step.condition, plan, beta):
            continue
        if isinstance(step.outcome, str):
            return step.outcome
        bucket = bucketing("salt", "", 6).bucket(key.encode())
        variant = next(variant for variant, end in step.outcome.ranges if bucket < end) if key else None
        if variant is not None:
            return variant
    return "c"


@given(st.lists(STEPS, max_size=4))
def test_who_is_in_no_share_of_a_rule_goes_on_to_the_next_rule(steps: list[Step]) -> None:
    rules, last = in_order(steps, "c", is_boolean=False)
    numbered = [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
    variants = tuple(Variant(number, key, key) for number, key in enumerate(VARIANTS, 1))
    definition = Definition(
        1, "flag", enabled=True, targeting_rules=rules_of(numbered), type=FlagType.STRING, variants=variants,
        default_variant=str(last),
    )  # fmt: skip
    for key, plan, beta in USERS:
        attributes: dict[str, Any] = {"plan": plan or None, "beta": True if beta else None}
        context = EvaluationContext(key, None, attributes)
        found = evaluate(definition, NO_ORGANIZATION_CONTEXT, context, {}).variant
        assert found == decided(steps, key, plan, beta)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted), st.sampled_from([(5, 1_000), (6, 10_000)]))
def test_parts_have_the_numbers_that_a_product_compares_with_them(ends: list[float], hash_: tuple[int, int]) -> None:
    version, size = hash_
    found = shares_of([(ends[0], ends[1], "a")], "targetingKey", "", version)
    has = {number for number in range(size) if ends[0] <= number / size < ends[1]}
    below, ours = 0, set()
    for variant, end in found.ranges:
        ours |= set(range(below * size // 100_000, end * size // 100_000)) if variant else set()
        below = end
    assert ours == has


def test_the_rest_of_a_share_cannot_be_counted_in_another_way() -> None:
    first, second = (shares_of([(0, 0.5, "a")], "targetingKey", salt, 6) for salt in ("s", "t"))
    with pytest.raises(NoEqual, match="counts users in another way") as fall_through:
        in_order([Step(ALWAYS, first), Step(ALWAYS, second)], "c", is_boolean=False)
    assert fall_through.value.issue is Issue.FALL_THROUGH
    with pytest.raises(NoEqual, match="in two ways") as buckets:
        first.within(second)
    assert buckets.value.issue is Issue.BUCKETS


@pytest.mark.parametrize("name", ["organization", "ancestor", "org.plan"])
def test_an_attribute_with_a_word_of_flagsite_as_its_name_is_not_counted(name: str) -> None:
    with pytest.raises(NoEqual, match="is a word of Flagsite"):
        unit(name)


def test_long_lists_of_parts_and_of_rests_are_refused_at_a_small_cost() -> None:
    with pytest.raises(NoEqual, match="more than 500 parts"):
        shares_of([(0, 0.1, "a")] * (MOST_PARTS + 1), "targetingKey", "", 6)
    plans = [asks(f"plan-{number}", "in", ["pro"]) for number in range(30)]
    halves = [Shares("targetingKey", "", 6, ((None, 50_000 + number), ("a", 100_000))) for number in range(30)]
    steps = [Step(plan, half) for plan, half in zip(plans, halves, strict=True)]
    with pytest.raises(NoEqual, match="more than"):
        in_order(steps, "c", is_boolean=False)
