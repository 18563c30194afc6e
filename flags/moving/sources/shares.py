"""Shares of users that get variants of their own, and lists of rules in which who is in no share goes on.

A product counts a user with a formula, and gives parts of its numbers to variants. Who is in none of these parts goes
on to the next rule. A rollout of Flagsite decides for all whom its rule matches. So the rest of a share gets what the
rules behind it say: for each of these, there is a rule with both conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from flags.evaluation.hashes import HASHES
from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue, NoEqual
from flags.moving.sources.conditions import Clause, Condition, all_of, present, rules_of
from flags.targeting.attributes import OF_ORGANIZATION
from flags.targeting.checks import MAX_RULES
from flags.targeting.rule_rollouts import ANCESTOR, ORGANIZATION
from flags.values.checks import OFF, ON

MOST_PARTS = 500
Part = tuple[float, float, str | None]
"""From where to where a part goes, on a scale from 0 to 1 without its end, and the variant; None for the rest."""
Range = tuple[str | None, int]
"""A variant, and the first bucket that does not belong to it. None: who is there goes on to the next rule."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Variants with their buckets, counted by an attribute with the salt and the hash version of a product."""

    by: str
    salt: str
    hash_version: int
    ranges: tuple[Range, ...]

    @property
    def has_rest(self) -> bool:
        """Whether somebody goes on to the next rule."""
        return any(variant is None for variant, _ in self.ranges)

    def filled(self, others: Shares | str) -> Shares:
        """Return the shares with those of the next rule for the rest, or with its variant.

        Raises NoEqual if the next rule counts in another way.
        """
        if isinstance(others, str):
            return replace(self, ranges=_merged([(variant or others, end) for variant, end in self.ranges]))
        if replace(others, ranges=()) != replace(self, ranges=()):
            detail = "Who is outside of a rollout goes on to a rule that counts users in another way."
            raise NoEqual(Issue.FALL_THROUGH, detail)
        return replace(self, ranges=_both(self.ranges, others.ranges, lambda own, other: own or other))

    def within(self, others: Shares) -> Shares:
        """Return the shares of those only who are in some share of the others, too. Raises NoEqual."""
        if replace(others, ranges=()) != replace(self, ranges=()):
            raise NoEqual(Issue.BUCKETS, "A rule counts users in two ways, and a rollout has one salt.")
        return replace(self, ranges=_both(self.ranges, others.ranges, lambda own, other: own if other else None))

    def serve(self, *, is_boolean: bool) -> dict[str, Any]:
        """Return the `serve` of a rule. Nobody goes on. Raises NoEqual."""
        sizes: dict[str, int] = {}
        below = 0
        for variant, end in self.ranges:
            sizes[str(variant)] = sizes.get(str(variant), 0) + end - below
            below = end
        counted = {"by": self.by, "salt": self.salt, "hashVersion": self.hash_version}
        if is_boolean:
            if [variant for variant, _ in self.ranges] not in ([ON], [OFF], [ON, OFF]):
                raise NoEqual(Issue.WEIGHTS, "The shares of a boolean flag are not those of on and then of off.")
            sizes = {ON: sizes.get(ON, 0), OFF: sizes.get(OFF, 0)}
        weights = {variant: size / 1000 for variant, size in sizes.items()}
        ranges = [{"variant": variant, "below": end} for variant, end in self.ranges]
        return {"rollout": weights, **counted, **({} if is_boolean else {"ranges": ranges})}


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of a product: for whom it counts, and the variant or the shares of those."""

    condition: Condition
    outcome: Shares | str
    name: str = ""


def unit(attribute: str) -> str:
    """Return an attribute as what shares count. Raises NoEqual if its name means something else here."""
    if attribute in (ORGANIZATION, ANCESTOR) or attribute.startswith(OF_ORGANIZATION):
        raise NoEqual(Issue.UNIT, f"A rollout counts the attribute {attribute!r}, which is a word of Flagsite.")
    return attribute


def shares_of(parts: Sequence[Part], by: str, salt: str, hash_version: int) -> Shares:
    """Return the shares for parts of the scale from 0 to 1. The first part that has a number decides.

    Raises NoEqual if buckets do not tell the parts exactly.
    """
    size = HASHES[hash_version].size
    if len(parts) > MOST_PARTS:
        raise NoEqual(Issue.TOO_LONG, f"A rollout has more than {MOST_PARTS} parts.")
    listed = [(_numbers_below(start, size), _numbers_below(end, size), variant) for start, end, variant in parts]
    ends = sorted({0, size, *(edge for start, end, _ in listed for edge in (start, end))})
    ranges: list[Range] = []
    for start, end in pairwise(ends):
        taken = next((variant for first, last, variant in listed if first <= start < last), None)
        if end * BUCKETS % size:
            raise NoEqual(Issue.WEIGHTS, "A share has more than three decimals of a per cent.")
        ranges.append((taken, end * BUCKETS // size))
    return in_buckets(ranges, by, salt, hash_version)


def in_buckets(ranges: Iterable[Range], by: str, salt: str, hash_version: int) -> Shares:
    """Return the shares with these ranges. An empty range is left out. Raises NoEqual."""
    return Shares(unit(by), salt, hash_version, _merged(ranges))


def shared_out(
    shares: Sequence[tuple[str, float]], by: str, salt: str, hash_version: int, *, is_boolean: bool = False
) -> dict[str, Any]:
    """Return the serve of shares of variants, which have the buckets in this order.

    Args:
        shares: variants with their per cent, which have three decimals at most and add up to 100.
        by: what is counted.
        salt: the salt of the product.
        hash_version: the version of the product's formula.
        is_boolean: whether the flag is boolean.

    Raises NoEqual.
    """
    if any(round(share, 3) != share for _, share in shares):
        raise NoEqual(Issue.WEIGHTS, "A share has more than three decimals of a per cent.")
    ranges: list[Range] = []
    below = 0
    for variant, share in shares:
        below += round(share * 1000)
        ranges.append((variant, below))
    return in_buckets(ranges, by, salt, hash_version).serve(is_boolean=is_boolean)


def in_order(
    steps: Sequence[Step], default: str | None, *, is_boolean: bool
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the targeting rules for rules of a product, of which the first that has a share for a user decides.

    Args:
        steps: the rules in their order.
        default: the variant of who is in no share of any rule. None if there is none.
        is_boolean: whether the flag is boolean.

    Returns the targeting rules, and the variant where none of them matches. Raises NoEqual.
    """
    found: list[dict[str, Any]] = []
    for place, step in enumerate(steps):
        if isinstance(step.outcome, str):
            if [] in step.condition:
                return found, step.outcome
            found += rules_of(step.condition, {"variant": step.outcome}, step.name)
            continue
        for condition, shares in _decided(step.condition, step.outcome, steps[place + 1 :], default):
            asked: list[list[Clause]] = [clauses or [present(shares.by)] for clauses in condition]
            found += rules_of(asked, shares.serve(is_boolean=is_boolean), step.name)
    return found, default


def _decided(
    condition: Condition, shares: Shares, others: Sequence[Step], default: str | None
) -> list[tuple[Condition, Shares]]:
    """Return shares as such of which each decides for all for whom its condition is true; the first one counts.

    The rest of the shares goes on to the others. Who has not what the shares count gets none of them.
    """
    found: list[tuple[Condition, Shares]] = []
    for place, other in enumerate(others if shares.has_rest else ()):
        both = all_of([condition, other.condition])
        if both:
            found += _decided(both, shares.filled(other.outcome), others[place + 1 :], default)
        if len(found) > MAX_RULES:
            raise NoEqual(Issue.TOO_LONG, f"The rest of its rollouts needs more than {MAX_RULES} targeting rules.")
        if [] in other.condition:
            return found
    if shares.has_rest and default is None:
        raise NoEqual(Issue.VALUE, "Who is outside of a rollout gets no value.")
    return [*found, (condition, shares.filled(default) if default else shares)]


def _numbers_below(edge: float, size: int) -> int:
    """Return how many of the numbers of a formula are below an edge, as a product compares: with fractions of 1."""
    number = min(max(int(edge * size), 0), size)
    while number > 0 and (number - 1) / size >= edge:
        number -= 1
    while number < size and number / size < edge:
        number += 1
    return number


def _both(
    ours: Sequence[Range], others: Sequence[Range], join: Callable[[str | None, str | None], str | None]
) -> tuple[Range, ...]:
    ends = sorted({end for _, end in (*ours, *others)})
    return _merged([(join(_at(ours, end), _at(others, end)), end) for end in ends])


def _at(ranges: Sequence[Range], end: int) -> str | None:
    return next(variant for variant, below in ranges if end <= below)


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ranges without empty ones, and with neighbours of the same variant as one."""
    found: list[Range] = []
    below = 0
    for variant, end in ranges:
        if end == below:
            continue
        if found and found[-1][0] == variant:
            found.pop()
        found.append((variant, end))
        below = end
    return tuple(found)
