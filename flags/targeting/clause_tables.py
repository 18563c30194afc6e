"""Tables of clauses: one look-up with the value of an attribute answers the clauses of many rules.

A table has clauses of one attribute, each of another rule. It takes a value that is neither None nor an array, and
returns the rules that it rules out, as the bits of a number. So the cost of an evaluation hardly grows with the rules.
The tests of `flags.targeting.operators` say what the answers have to be.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial, reduce
from itertools import accumulate
from operator import or_, xor
from typing import Any, NamedTuple

from flags.targeting.operators import (
    address_of,
    is_number,
    plain_text,
    ranges_of,
    time_of,
    utf_8_of,
)
from flags.targeting.rules import Clause
from flags.targeting.versions import version_of
from flags.values.patterns import set_of_patterns

FEWEST_PATTERNS = 5
"""To look for fewer patterns takes longer at once than one by one, where other clauses have not decided."""
MOST_KEPT = 256
"""For how many outcomes a table of patterns keeps what they rule out."""
Bit = int
"""A number with one bit: that of the rule of a clause."""
Refused = Callable[[Any], int]
Clauses = Sequence[tuple[Bit, Clause]]
Edge = tuple[Any, bool]
"""A value at which a clause changes its mind, and whether it does so after this value, instead of with it."""


class Table(NamedTuple):
    """What is ruled out by a value, by a value with which no clause has anything in common, and without a value."""

    refused: Refused
    other: int
    without: int


def table_of(make: Maker, clauses: Clauses, *, ignore_case: bool) -> Table | None:
    """Return the table of clauses that have the same maker; None if they have to be asked one by one."""
    refused = make(clauses, ignore_case=ignore_case)
    if refused is None:
        return None
    if make is _present:
        negated = refused(None)
        return Table(refused, negated, sum(bit for bit, _ in clauses) - negated)
    return Table(refused, _refused_at_first(clauses), sum(bit for bit, _ in clauses))


def _refused_at_first(clauses: Clauses) -> int:
    return sum(bit for bit, clause in clauses if not clause.negate)


def _nothing(clauses: Clauses, *, ignore_case: bool) -> None:
    """There is no table of an operator."""


def _present(clauses: Clauses, *, ignore_case: bool) -> Refused:
    """A table of `exists`."""
    negated = sum(bit for bit, clause in clauses if clause.negate)
    return lambda value: negated


def _exact(clauses: Clauses, *, ignore_case: bool) -> Refused:
    """A table of the operator `in`."""
    other = _refused_at_first(clauses)
    texts: dict[Any, int] = {}
    numbers: dict[Any, int] = {}
    booleans: dict[Any, int] = {}
    for bit, clause in clauses:
        for known, values in (
            (texts, {_folded(one, ignore_case) for one in clause.values if isinstance(one, str)}),
            (numbers, {one for one in clause.values if is_number(one)}),
            (booleans, {one for one in clause.values if isinstance(one, bool)}),
        ):
            for value in values:
                known[value] = known.get(value, other) ^ bit

    def refused(value: Any) -> int:
        if type(value) is str and not ignore_case:
            return texts.get(value, other)
        if isinstance(value, str):
            return texts.get(value.casefold() if ignore_case else plain_text(value), other)
        if isinstance(value, bool):
            return booleans.get(value, other)
        return numbers.get(value, other) if is_number(value) else other

    return refused


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _beginnings(clauses: Clauses, *, ignore_case: bool, backwards: bool = False) -> Refused:
    """A table of `startsWith`, or of `endsWith`, which reads texts backwards.

    Of all beginnings in their order, the last one before the text is its longest beginning, or begins with that.
    """
    other, step = _refused_at_first(clauses), -1 if backwards else 1
    hits: dict[str, int] = {}
    for bit, clause in clauses:
        for text in {_folded(one, ignore_case)[::step] for one in clause.values}:
            hits[text] = hits.get(text, 0) | bit
    texts = sorted(hits)
    shorter: list[int] = []
    refused_from: list[int] = []
    found = [0]
    for place, text in enumerate(texts):
        before = place - 1
        while before >= 0 and not text.startswith(texts[before]):
            before = shorter[before]
        shorter.append(before)
        found.append(hits[text] | found[before + 1])
        refused_from.append(other ^ found[-1])

    def refused(value: Any) -> int:
        if not isinstance(value, str):
            return other
        text = (value.casefold() if ignore_case else plain_text(value))[::step]
        place = bisect_right(texts, text) - 1
        while place >= 0:
            if text.startswith(texts[place]):
                return refused_from[place]
            place = shorter[place]
        return other

    return refused


def _ordered(
    read: Callable[[Any], Any], edges_of: Callable[[Clause], tuple[bool, Iterable[Edge]]], clauses: Clauses, **_: bool
) -> Refused:
    """A table of operators that compare what has an order.

    `read` returns None for a value that cannot be compared. `edges_of` returns whether a clause, without its `negate`,
    matches what is below everything, and where this changes.
    """
    other, first = _refused_at_first(clauses), 0
    edges: tuple[list[tuple[Any, Bit]], list[tuple[Any, Bit]]] = ([], [])
    for bit, clause in clauses:
        is_below, edges_of_clause = edges_of(clause)
        first |= bit if is_below is clause.negate else 0
        for point, is_after in edges_of_clause:
            edges[is_after].append((point, bit))
    points, refused_from = _steps(edges[False], first)
    points_before, changed_after = _steps(edges[True], 0)

    if not points_before:

        def refused_with(value: Any) -> int:
            known = read(value)
            return other if known is None else refused_from[bisect_right(points, known)]

        return refused_with

    def refused(value: Any) -> int:
        known = read(value)
        if known is None:
            return other
        return refused_from[bisect_right(points, known)] ^ changed_after[bisect_left(points_before, known)]

    return refused


def _steps(edges: Iterable[tuple[Any, Bit]], first: int) -> tuple[list[Any], list[int]]:
    """The points in their order, and what holds before the first one and from each one on."""
    in_order = sorted(edges, key=lambda edge: edge[0])
    return [point for point, _ in in_order], list(accumulate((bit for _, bit in in_order), xor, initial=first))


def _edges(clause: Clause, *, read: Callable[[Any], Any]) -> tuple[bool, Iterable[Edge]]:
    """The edges of a comparison, by the end of the operator's name."""
    values = {read(value) for value in clause.values}
    op = clause.op.removeprefix("semver").lower()
    if op == "eq":
        return False, [(value, is_after) for value in values for is_after in (False, True)]
    if op in ("lt", "lte", "before"):
        return True, [(max(values), op == "lte")]
    return False, [(min(values), op != "gte")]


def _edges_of_networks(clause: Clause) -> tuple[bool, Iterable[Edge]]:
    """The first address of each network, and the one after its last. Networks that overlap count as one."""
    merged: list[list[int]] = []
    for first, last in sorted(each for value in clause.values for each in ranges_of(value)):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return False, [(edge, False) for first, last in merged for edge in (first, last + 1)]


def _number_of(value: Any) -> Any:
    return value if type(value) is int or is_number(value) else None


def _patterns(clauses: Clauses, *, ignore_case: bool) -> Refused | None:
    """A table of `matches`: all patterns are looked for at once. None if they are few, or take too much memory."""
    other = _refused_at_first(clauses)
    bits: dict[str, int] = {}
    for bit, clause in clauses:
        for pattern in clause.values:
            bits[pattern] = bits.get(pattern, 0) | bit
    together = set_of_patterns(tuple(bits), ignore_case=ignore_case) if len(bits) >= FEWEST_PATTERNS else None
    if together is None:
        return None
    match, hits = together.Match, list(bits.values())

    @lru_cache(maxsize=MOST_KEPT)
    def refused_by(*places: int) -> int:
        return other ^ reduce(or_, (hits[place] for place in places))

    def refused(value: Any) -> int:
        text = utf_8_of(value)
        found = None if text is None else match(text)
        return refused_by(*found) if found else other

    return refused


_numbers = partial(_ordered, _number_of, partial(_edges, read=_number_of))
_versions = partial(_ordered, version_of, partial(_edges, read=version_of))
_times = partial(_ordered, time_of, partial(_edges, read=time_of))
_networks = partial(_ordered, address_of, _edges_of_networks)
Maker = Callable[..., Refused | None]
MAKERS: Mapping[str, Maker] = {
    "exists": _present, "in": _exact,
    "startsWith": _beginnings, "endsWith": partial(_beginnings, backwards=True), "matches": _patterns,
    "lt": _numbers, "lte": _numbers, "gt": _numbers, "gte": _numbers, "before": _times, "after": _times,
    "semverEq": _versions, "semverLt": _versions, "semverLte": _versions, "semverGt": _versions,
    "semverGte": _versions, "inCidr": _networks,
}  # fmt: skip
"""What makes a table of clauses, by operator. Operators with the same maker can be in one table."""


def maker_of(op: str) -> Maker:
    """Return what makes the tables of an operator."""
    return MAKERS.get(op, _nothing)
