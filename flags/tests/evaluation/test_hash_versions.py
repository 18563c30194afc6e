"""Users keep their bucket when a flag comes from another product: its own published numbers come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from flags.evaluation.hashes import HASHES
from flags.evaluation.rollout import BUCKETS, bucketing

PUBLISHED = json.loads((settings.BASE_DIR / "docs" / "bucket-vectors.json").read_text())


def bucket(version: int, salt: str, unit: str) -> int:
    return bucketing(salt, "another-key", version).bucket(unit.encode())


@pytest.mark.parametrize("published", PUBLISHED["hashVersions"], ids=lambda published: str(published["hashVersion"]))
def test_the_published_buckets_are_ours_and_those_of_the_product(published: dict[str, Any]) -> None:
    version = published["hashVersion"]
    assert published["name"] == HASHES[version].name
    assert len(published["vectors"]) > 20
    for vector in published["vectors"]:
        assert bucket(version, vector["salt"], vector["unit"]) == vector["bucket"], vector


def test_each_version_but_our_own_has_published_buckets_and_a_row_on_the_page() -> None:
    page = (settings.BASE_DIR / "docs" / "buckets.md").read_text()
    assert [published["hashVersion"] for published in PUBLISHED["hashVersions"]] == list(HASHES)[1:]
    for version, formula in HASHES.items():
        assert f"| {version} | {formula.name.split(',')[0]}" in page


@pytest.mark.parametrize(("group", "unit", "normalized"), [("gr1", "123", 73), ("groupX", "999", 25)])
def test_the_normalized_values_of_the_clients_of_unleash(group: str, unit: str, normalized: int) -> None:
    assert bucket(2, group, unit) == (normalized - 1) * 1_000


@pytest.mark.parametrize(
    ("percentage", "group", "unit", "inside"),
    [
        (10, "Feature.flexibleRollout.10", "174", True),
        (10, "Feature.flexibleRollout.10", "499", False),
        (55, "Feature.flexibleRollout.userId.55", "25", True),
        (42, "Feature.flexibleRollout.sessionId.42", "147", True),
        (50, "Feature.flexible.rollout.custom.stickiness_50", "402", False),
        (50, "Feature.flexible.rollout.custom.stickiness_50", "388", True),
        (50, "Feature.flexible.rollout.custom.stickiness_50", "39", True),
    ],
)
def test_the_client_specification_of_unleash(percentage: int, group: str, unit: str, inside: bool) -> None:
    assert (bucket(2, group, unit) < percentage * 1_000) is inside


@pytest.mark.parametrize(
    ("salt", "unit", "value"),
    [
        ("hashKey.saltyA", "userKeyA", 0.42157587), ("hashKey.saltyA", "userKeyB", 0.6708485),
        ("hashKey.saltyA", "userKeyC", 0.10343106), ("hashKey.saltyA", "33333", 0.54771423),
        ("hashKey.saltyA", "99999", 0.7309658),
        ("61", "userKeyA", 0.09801207), ("61", "userKeyB", 0.14483777), ("61", "userKeyC", 0.9242641),
    ],
)  # fmt: skip
def test_the_bucket_values_in_the_tests_of_launchdarkly(salt: str, unit: str, value: float) -> None:
    assert bucket(4, salt, unit) == int(value * BUCKETS)


@pytest.mark.parametrize(
    ("salt", "unit", "version", "value"),
    [
        ("", "a", 1, 0.22), ("", "b", 1, 0.077), ("b", "a", 1, 0.946), ("ef", "d", 1, 0.652),
        ("asdf", "8952klfjas09ujk", 1, 0.549), ("", "123", 1, 0.011), ("", '___)((*":&', 1, 0.563),
        ("seed", "a", 2, 0.0505), ("seed", "b", 2, 0.2696), ("foo", "ab", 2, 0.2575), ("foo", "def", 2, 0.2019),
        ("89123klj", "8952klfjas09ujkasdf", 2, 0.124), ("90850943850283058242805", "123", 2, 0.7516),
        ("()**(%$##$%#$#", '___)((*":&', 2, 0.0128),
    ],
)  # fmt: skip
def test_the_cases_of_growthbook(salt: str, unit: str, version: int, value: float) -> None:
    assert bucket(4 + version, salt, unit) == round(value * BUCKETS)


def test_a_hash_of_flagsmith_that_is_all_is_drawn_again() -> None:
    units = [str(number) for number in range(12_000)]
    numbers = [bucketing("1,", "f", 7).number(unit.encode()) for unit in units]
    assert max(numbers) <= 9_997
    assert max(bucket(7, "1,", unit) for unit in units) < BUCKETS


SUITS = {
    8: {"jack": "spades", "queen": "clubs", "ten": "diamonds", "nine": "hearts", "3": "diamonds"},
    9: {"jack": "hearts", "queen": "spades", "ten": "clubs", "nine": "diamonds", "3": "clubs"},
    11: {"jack": "diamonds", "queen": "diamonds", "ten": "clubs", "nine": "clubs", "3": "spades"},
}
SHARED = {
    8: {"jack": "hearts", "queen": "spades", "ten": "hearts", "nine": "diamonds"},
    9: {"seven": "hearts", "eight": "diamonds", "nine": "clubs", "two": "spades"},
    11: {"seven": "hearts", "eight": "hearts", "nine": "diamonds", "two": "diamonds"},
}


@pytest.mark.parametrize(("salt", "cases"), [("fractional-flag", SUITS), ("shared-seed", SHARED)])
def test_the_gherkin_cases_of_flagd(salt: str, cases: dict[int, dict[str, str]]) -> None:
    suits = ["clubs", "diamonds", "hearts", "spades"]
    for version, suit_of in cases.items():
        assert {name: suits[bucket(version, salt, name) // 25_000] for name in suit_of} == suit_of


def test_the_gherkin_cases_of_flagd_for_the_shorthand_and_for_the_ends_of_the_hash() -> None:
    sides = ["heads", "tails"]
    for version, right in ((8, "heads tails"), (9, "heads tails"), (10, "tails tails")):
        names = ("jon@company.com", "jane@company.com")
        assert [sides[bucket(version, "fractional-flag-shorthand", name) // 50_000] for name in names] == right.split()
    ends = {"ejOoVL": 0, "bY9fO-": 0, "SI7p-": 49_999, "6LvT0": 50_000, "ceQdGm": 99_999}
    assert {key: bucket(9, "", key) for key in ends} == ends


@given(st.sampled_from(sorted(HASHES)), st.text(max_size=8), st.text(min_size=1), st.integers(0, BUCKETS))
def test_the_limit_of_a_threshold_says_what_the_bucket_says(version: int, salt: str, unit: str, threshold: int) -> None:
    counted = bucketing(salt, "flag", version)
    content = unit.encode(errors="surrogatepass")
    assert 0 <= counted.bucket(content) < BUCKETS
    assert (counted.number(content) < counted.limit(threshold)) is (counted.bucket(content) < threshold)
