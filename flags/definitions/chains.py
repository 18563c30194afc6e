"""Chains of things that name each other by key, such as prerequisites: circles, and how long they are.

`edges` has, for each key, the keys that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Edges = Mapping[str, Sequence[str]]


def find_circle(key: str, named: Iterable[str], edges: Edges) -> list[str] | None:
    """Return a circle from the key through `named` back to the key, or None. The search visits each key once."""
    paths = [[key, first] for first in sorted(named)]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        if path[-1] == key:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            paths += [[*path, following] for following in edges.get(path[-1], ())]
    return None


def levels(key: str, edges: Edges, most: int) -> int:
    """Return the number of steps in the longest path from the key. Counting stops above `most`."""
    level, steps = {key}, -1
    while level and steps <= most:
        level = {following for one in level for following in edges.get(one, ())}
        steps += 1
    return steps


def reversed_edges(edges: Edges) -> dict[str, list[str]]:
    """Return the edges in the opposite direction: from a key to the keys that name it."""
    turned: dict[str, list[str]] = {}
    for key, named in edges.items():
        for one in named:
            turned.setdefault(one, []).append(key)
    return turned
