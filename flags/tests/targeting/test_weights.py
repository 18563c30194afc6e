"""A change of weights moves as few buckets as possible, and loses none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.evaluation.rollout import BUCKETS
from flags.targeting.weights import (
    Ranges,
    first_ranges,
    next_ranges,
    ranges_as_json,
    ranges_in,
    sizes_in,
    sizes_of,
    variant_in,
)

KEYS = ["a", "b", "c", "d", "e", "f"]


@st.composite
def all_sizes(draw: st.DrawFn) -> dict[str, int]:
    """Sizes of one to six variants that add up to all buckets; some are 0."""
    keys = draw(st.permutations(KEYS))[: draw(st.integers(1, len(KEYS)))]
    step = draw(st.sampled_from([1, 1_000, 25_000]))
    cuts = sorted(draw(st.integers(0, BUCKETS // step)) * step for _ in keys[1:])
    return dict(zip(keys, (end - start for start, end in zip([0, *cuts], [*cuts, BUCKETS], strict=True)), strict=True))


def owners(ranges: Ranges) -> list[str]:
    """The variant of each bucket."""
    table: list[str] = []
    for variant, end in ranges:
        table += [variant] * (end - len(table))
    return table


@given(st.lists(all_sizes(), min_size=2, max_size=6))
def test_a_change_of_weights_moves_the_least_and_loses_no_bucket(changes: list[dict[str, int]]) -> None:
    ranges = first_ranges(changes[0])
    for before, after in pairwise(changes):
        following = next_ranges(ranges, after)
        assert sizes_in(following) == {key: size for key, size in after.items() if size}
        old, new = owners(ranges), owners(following)
        assert len(new) == BUCKETS
        moved = sum(one != other for one, other in zip(old, new, strict=True))
        assert moved == sum(max(0, size - before.get(key, 0)) for key, size in after.items())
        assert all(one[0] != other[0] for one, other in pairwise(following))
        assert len(following) <= len(ranges) + len(set(before) | set(after))
        ranges = following


@given(st.lists(all_sizes(), min_size=1, max_size=5))
def test_the_same_weights_again_change_nothing(changes: list[dict[str, int]]) -> None:
    ranges = first_ranges(changes[0])
    for sizes in changes:
        ranges = next_ranges(ranges, sizes)
        assert next_ranges(ranges, sizes) == ranges
        assert ranges_in(ranges_as_json(ranges)) == ranges


@given(all_sizes(), st.integers(0, BUCKETS - 1))
def test_each_bucket_has_the_variant_of_its_range(sizes: dict[str, int], bucket: int) -> None:
    ranges = first_ranges(sizes)
    assert variant_in(ranges, bucket) == owners(ranges)[bucket]


def test_a_rollout_begins_with_a_range_for_each_variant_in_the_order_of_keys() -> None:
    sizes = sizes_of({"red": 29.999, "blue": 70.001, "none": 0})
    assert first_ranges(sizes) == (("blue", 70_001), ("red", 100_000))


def test_a_variant_that_wins_takes_what_lies_beside_its_range() -> None:
    halves = (("blue", 50_000), ("red", 100_000))
    assert next_ranges(halves, sizes_of({"blue": 40, "red": 60})) == (("blue", 40_000), ("red", 100_000))
    assert next_ranges(halves, sizes_of({"blue": 60, "red": 40})) == (
        ("blue", 50_000), ("red", 90_000), ("blue", 100_000),
    )  # fmt: skip
    assert next_ranges(halves, sizes_of({"green": 100})) == (("green", 100_000),)


@pytest.mark.parametrize(
    "content",
    [
        None, {}, "text", [], [1], [{"variant": "a"}], [{"variant": "a", "below": 99_999}],
        [{"variant": "a", "below": 100_001}], [{"variant": 1, "below": 100_000}], [{"variant": "a", "below": True}],
        [{"variant": "a", "below": 5}, {"variant": "b", "below": 5}, {"variant": "a", "below": 100_000}],
        [{"variant": "a", "below": 100_000, "more": 1}], [{"variant": "a", "below": 100_000.0}],
    ],
)  # fmt: skip
def test_what_is_no_list_of_ranges_is_not_read(content: object) -> None:
    assert ranges_in(content) is None
