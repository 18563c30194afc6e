"""Rollouts by weight: which variant has which buckets, and a change of weights that moves as few as possible.

The buckets of `flags.evaluation.rollout` are shared out in ranges. A range says which variant has the buckets from the
end of the range before it up to its own end, which does not belong to it. The last range ends at 100,000. When weights
change, each variant that loses gives up its last buckets, and exactly these go to the variants that win. So no unit
moves that could stay: the moved buckets are the sum of what the winners win, which is the least possible.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from flags.evaluation.rollout import BUCKETS

Range = tuple[str, int]
"""A variant, and the end of its buckets: the first bucket that does not belong to it."""
Ranges = tuple[Range, ...]
BUCKETS_OF_ONE_PER_CENT = BUCKETS // 100
_Piece = tuple[str | None, int, int]
"""An owner (None for nobody), the first bucket, and the end."""


def sizes_of(weights: Mapping[str, float]) -> dict[str, int]:
    """Return the number of buckets of each variant. The weights are percentages with at most three decimals."""
    return {variant: round(weight * BUCKETS_OF_ONE_PER_CENT) for variant, weight in weights.items()}


def first_ranges(sizes: Mapping[str, int]) -> Ranges:
    """Return the ranges of a new rollout: one for each variant, in the order of their keys.

    The sizes add up to 100,000. JSON objects have no order, so the keys give one that is the same everywhere.
    """
    ranges: list[Range] = []
    end = 0
    for variant in sorted(sizes):
        end += sizes[variant]
        if sizes[variant]:
            ranges.append((variant, end))
    return tuple(ranges)


def next_ranges(ranges: Ranges, sizes: Mapping[str, int]) -> Ranges:
    """Return the ranges after a change of weights, with the least possible number of moved buckets.

    The same sizes give the same ranges. At most one range more comes from each variant whose size changes.
    """
    has = sizes_in(ranges)
    left = {variant: size - sizes.get(variant, 0) for variant, size in has.items() if size > sizes.get(variant, 0)}
    needs = {variant: sizes[variant] - has.get(variant, 0) for variant in sorted(sizes)}
    return _merged(_filled(_cut(ranges, left), {variant: size for variant, size in needs.items() if size > 0}))


def sizes_in(ranges: Ranges) -> dict[str, int]:
    """Return the number of buckets of each variant that has any."""
    sizes: dict[str, int] = {}
    for variant, start, end in _pieces(ranges):
        sizes[variant] = sizes.get(variant, 0) + end - start
    return sizes


def variant_in(ranges: Ranges, bucket: int) -> str:
    """Return the variant that has a bucket."""
    return ranges[bisect_right([end for _, end in ranges], bucket)][0]


def ranges_in(content: Any) -> Ranges | None:
    """Read ranges from JSON: `[{"variant": "blue", "below": 70000}, ...]`. Return None for anything else.

    The ends go up, and the last one is 100,000.
    """
    if not isinstance(content, Sequence) or isinstance(content, str):
        return None
    found: list[Range] = []
    before = 0
    for each in content:
        if not isinstance(each, Mapping) or set(each) != {"variant", "below"}:
            return None
        variant, end = each["variant"], each["below"]
        if not isinstance(variant, str) or isinstance(end, bool) or not isinstance(end, int) or end <= before:
            return None
        found.append((variant, end))
        before = end
    return _merged(_pieces(tuple(found))) if before == BUCKETS else None


def ranges_as_json(ranges: Ranges) -> list[dict[str, Any]]:
    """Return ranges as JSON."""
    return [{"variant": variant, "below": end} for variant, end in ranges]


def _pieces(ranges: Ranges) -> list[tuple[str, int, int]]:
    starts = (0, *(end for _, end in ranges))
    return [(variant, start, end) for start, (variant, end) in zip(starts, ranges, strict=False)]


def _cut(ranges: Ranges, left: dict[str, int]) -> list[_Piece]:
    """Return the ranges as pieces, where each variant has given up its last buckets: as many as `left` says."""
    pieces: list[_Piece] = []
    for variant, start, end in reversed(_pieces(ranges)):
        kept = max(start, end - left.get(variant, 0))
        if kept < end:
            left[variant] -= end - kept
            pieces.append((None, kept, end))
        if start < kept:
            pieces.append((variant, start, kept))
    return pieces[::-1]


def _filled(pieces: Sequence[_Piece], needs: dict[str, int]) -> list[tuple[str, int, int]]:
    """Give the free pieces to the variants that need them, first to the neighbours, so that ranges stay few."""
    filled: list[tuple[str, int, int]] = []
    for place, (variant, start, end) in enumerate(pieces):
        if variant is not None:
            filled.append((variant, start, end))
            continue
        after = pieces[place + 1][0] if place + 1 < len(pieces) else None
        for_next = min(needs.get(after, 0), end - start) if after is not None else 0
        if after is not None and for_next:
            needs[after] -= for_next
        first = [filled[-1][0]] if filled else []
        at = start
        for taker in [*first, *needs]:
            taken = min(needs.get(taker, 0), end - for_next - at)
            if taken:
                filled.append((taker, at, at + taken))
                at += taken
                needs[taker] -= taken
        if after is not None and for_next:
            filled.append((after, at, end))
    return filled


def _merged(pieces: Sequence[tuple[str, int, int]]) -> Ranges:
    ranges: list[Range] = []
    for variant, _, end in pieces:
        if ranges and ranges[-1][0] == variant:
            ranges.pop()
        ranges.append((variant, end))
    return tuple(ranges)
