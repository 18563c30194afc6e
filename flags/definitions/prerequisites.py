"""The rules of prerequisites: they exist, no flag needs itself by way of others, and the levels are few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flags.definitions.models import Flag
from flags.errors import InvalidDefinition, PrerequisiteCycle, UnknownPrerequisite

MOST_LEVELS = 20
"""The most flags that may need each other one after the other, which bounds the cost of an evaluation."""


def check(key: str, needed: Sequence[str]) -> list[Flag]:
    """The flags with the keys `needed`, if the flag `key`, new or not, may have them as its prerequisites.

    This stays true only while the caller holds the lock on the definitions. Raises UnknownPrerequisite,
    PrerequisiteCycle with the way round, InvalidDefinition where the flags would need each other over too many levels.
    """
    if key in needed:
        raise PrerequisiteCycle(f"A flag cannot need itself: {key} -> {key}.")
    found = list(Flag.objects.filter(key__in=needed, purging=False)) if needed else []
    missing = sorted(set(needed) - {flag.key for flag in found})
    if missing:
        raise UnknownPrerequisite(f"There is no flag {', '.join(map(repr, missing))}.")
    if found:
        edges = _all()
        way = _way(key, needed, edges)
        if way:
            raise PrerequisiteCycle(f"Flags cannot need each other in a circle: {' -> '.join(way)}.")
        levels = _levels(key, {**edges, key: needed}) + _levels(key, _turned(edges))
        if levels > MOST_LEVELS:
            raise InvalidDefinition(f"Prerequisites have {MOST_LEVELS} levels at most; those of {key} had {levels}.")
    return found


def dependents_of(flag: Flag) -> list[str]:
    """The keys of the flags that need it."""
    return list(flag.dependents.order_by("key").values_list("key", flat=True))


def _all() -> dict[str, list[str]]:
    edges: dict[str, list[str]] = {}
    pairs = Flag.prerequisites.through.objects.values_list("from_flag__key", "to_flag__key").order_by("to_flag__key")
    for key, needed in pairs:
        edges.setdefault(key, []).append(needed)
    return edges


def _way(key: str, needed: Iterable[str], edges: Mapping[str, Sequence[str]]) -> list[str] | None:
    """A way from the flag by way of `needed` back to itself; each flag is looked at once."""
    ways = [[key, first] for first in sorted(needed)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == key:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, following] for following in edges.get(way[-1], ())]
    return None


def _levels(key: str, edges: Mapping[str, Sequence[str]]) -> int:
    """How many steps the longest way from the flag has; no more are counted than are too many."""
    level, steps = {key}, -1
    while level and steps <= MOST_LEVELS:
        level = {following for one in level for following in edges.get(one, ())}
        steps += 1
    return steps


def _turned(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The same edges the other way round: from a flag to the flags that need it."""
    turned: dict[str, list[str]] = {}
    for key, needed in edges.items():
        for one in needed:
            turned.setdefault(one, []).append(key)
    return turned
