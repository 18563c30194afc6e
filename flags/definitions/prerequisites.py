"""The rules of prerequisites: they exist, they form no circle, and their chains are short."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions.chains import find_circle, levels, reversed_edges
from flags.definitions.models import Flag
from flags.errors import InvalidDefinition, PrerequisiteCycle, UnknownPrerequisite
from flags.evaluation.wants import IS_ON, OFF, ON, Want, checked_entries, keys_of, wants_of
from flags.values.types import FlagType

MAX_LEVELS = 20
"""The maximum length of a chain of prerequisites. It limits the cost of an evaluation."""


def check(key: str, entries: Any) -> list[Flag]:
    """Return the flags of prerequisites in JSON, if the flag `key`, new or not, may have them.

    The caller holds the definitions' lock, so that the result stays true. Raises UnknownPrerequisite; raises
    PrerequisiteCycle with the circle, and InvalidDefinition if a chain of prerequisites would be too long, or if
    `entries` are no prerequisites.
    """
    try:
        checked = checked_entries(entries)
    except ValidationError as error:
        raise InvalidDefinition(f"prerequisites: {' '.join(error.messages)}") from error
    needed = keys_of(checked)
    if key in needed:
        raise PrerequisiteCycle(f"A flag cannot need itself: {key} -> {key}.")
    found = list(Flag.objects.filter(key__in=needed, purging=False)) if needed else []
    missing = sorted(set(needed) - {flag.key for flag in found})
    if missing:
        raise UnknownPrerequisite(f"There is no flag {', '.join(map(repr, missing))}.")
    wants = wants_of(checked)
    for flag in found:
        _check_want(flag, wants.get(flag.key, IS_ON))
    if found:
        edges = _load_edges()
        cycle = find_circle(key, needed, edges)
        if cycle:
            raise PrerequisiteCycle(f"Flags cannot need each other in a circle: {' -> '.join(cycle)}.")
        steps = levels(key, {**edges, key: needed}, MAX_LEVELS) + levels(key, reversed_edges(edges), MAX_LEVELS)
        if steps > MAX_LEVELS:
            raise InvalidDefinition(
                f"Prerequisites may have {MAX_LEVELS} levels at most; those of {key} would have {steps}."
            )
    return found


def _check_want(flag: Flag, want: Want) -> None:
    """Raise InvalidDefinition if a flag has no variant that is wanted of it."""
    variants = [ON, OFF] if flag.type == FlagType.BOOLEAN else [each["key"] for each in flag.variants]
    if want.variant and want.variant not in variants:
        known = ", ".join(variants)
        raise InvalidDefinition(
            f"prerequisites: {flag.key} has no variant {want.variant!r}. Its variants are: {known}."
        )


def dependents_of(flag: Flag) -> list[str]:
    """Return the keys of the flags of which this flag is a prerequisite."""
    return list(flag.dependents.order_by("key").values_list("key", flat=True))


def all_that_need(key: str) -> list[str]:
    """Return the sorted keys of the flags that need a flag, themselves or through others; archived ones are left out.

    An archived flag is off for everybody, so it matters to nobody what it needs.
    """
    needed_by = reversed_edges(_load_edges())
    found: set[str] = set()
    level = {key}
    while level:
        level = {following for one in level for following in needed_by.get(one, ())} - found
        found |= level
    return list(Flag.objects.filter(key__in=found, archived=False).order_by("key").values_list("key", flat=True))


def _load_edges() -> dict[str, list[str]]:
    edges: dict[str, list[str]] = {}
    pairs = Flag.prerequisites.through.objects.values_list("from_flag__key", "to_flag__key").order_by("to_flag__key")
    for key, needed in pairs:
        edges.setdefault(key, []).append(needed)
    return edges
