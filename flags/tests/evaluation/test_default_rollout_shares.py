"""The default rollout shares out those who are inside the flag's percentage, whatever formula counts both."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from flags.evaluation.engine import (
    NO_ORGANIZATION_CONTEXT,
    Decision,
    Definition,
    EvaluationContext,
    OrganizationContext,
    evaluate,
)
from flags.evaluation.hashes import HASHES
from flags.evaluation.reasons import Reason
from flags.targeting.rule_rollouts import default_rollout_of
from flags.values.types import FlagType
from flags.values.variants import Variant

PUBLISHED = json.loads((settings.BASE_DIR / "docs" / "bucket-vectors.json").read_text())["defaultRollouts"]
VARIANTS = tuple(Variant(number, key, key) for number, key in enumerate(("blue", "green", "red"), 1))
UNITS = 4_000


def flag(rollout: dict[str, object], *, salt: str, version: int = 1, percentage: int = 100) -> Definition:
    return Definition(
        1, PUBLISHED["flag"], enabled=True, threshold=percentage * 1_000, salt=salt, hash_version=version,
        type=FlagType.STRING, variants=VARIANTS, default_variant="blue", off_variant="",
        default_rollout=default_rollout_of(rollout),
    )  # fmt: skip


def decided(definition: Definition, user: str, place: OrganizationContext = NO_ORGANIZATION_CONTEXT) -> Decision:
    return evaluate(definition, place, EvaluationContext(user), {})


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=str)
def test_the_published_buckets_are_ours(vector: dict[str, object]) -> None:
    salt, version, unit = str(vector["salt"]), int(str(vector["hashVersion"])), str(vector["unit"])
    found = decided(flag({"rollout": PUBLISHED["rollout"]}, salt=salt, version=version), unit)
    assert (found.variant, found.reason) == (vector["variant"], Reason.SPLIT)
    assert f"is in bucket {vector['bucket']} of 100000" in found.steps[-1].detail


@given(
    st.sampled_from(sorted(HASHES)), st.text("abcxyz019", min_size=4, max_size=12), st.sampled_from([10, 30, 50, 90]),
    st.sampled_from([20, 50, 70]),
)  # fmt: skip
def test_each_variant_has_its_weight_of_those_who_are_inside_the_percentage(
    version: int, salt: str, percentage: int, weight: int
) -> None:
    """Within six deviations. On the same buckets, the variants with the last ranges would have nobody."""
    rollout = {"rollout": {"green": weight, "red": 100 - weight}}
    definition = flag(rollout, salt=salt, version=version, percentage=percentage)
    served = Counter(decided(definition, f"user-{number}").variant for number in range(UNITS))
    inside, share = UNITS - served[""], weight / 100
    assert abs(inside - UNITS * percentage / 100) < 6 * (UNITS * percentage / 100 * (1 - percentage / 100)) ** 0.5 + 1
    assert abs(served["green"] - inside * share) < 6 * (inside * share * (1 - share)) ** 0.5 + 1
    assert served["green"] + served["red"] == inside


def test_a_salt_of_its_own_is_taken_as_it_is() -> None:
    rollout = {"rollout": PUBLISHED["rollout"]}
    own, other = flag({**rollout, "salt": "s/variants"}, salt="another"), flag(rollout, salt="s")
    users = [f"user-{number}" for number in range(50)]
    assert [decided(own, user).variant for user in users] == [decided(other, user).variant for user in users]


def test_all_users_of_an_organization_get_one_variant_if_it_counts_organizations() -> None:
    definition = flag({"rollout": {"green": 50, "red": 50}, "by": "ancestor", "level": 1}, salt="s")
    seen = {
        region: {
            decided(definition, user, OrganizationContext((1, 2, 3), ("root", region, f"store-{user}"))).variant
            for user in ("ann", "bob", "cleo")
        }
        for region in (f"region-{number}" for number in range(20))
    }
    assert all(len(variants) == 1 for variants in seen.values())
    assert {variant for variants in seen.values() for variant in variants} == {"green", "red"}
