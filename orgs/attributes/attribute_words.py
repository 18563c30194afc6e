"""Attributes of organizations in words, for commands and pages."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from orgs.attributes.attribute_operations import Attributes


class ShownAttribute(NamedTuple):
    """An attribute for people: its name, its value, from where it comes, and whether it is the organization's own.

    `hides` is the value from above that an own attribute hides, or empty.
    """

    name: str
    value: str
    source: str
    is_own: bool
    hides: str


def value_in_words(value: Any) -> str:
    """Return a value as people write it: a list with commas, and null as "nothing"."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(value) or "an empty list"
    return value if isinstance(value, str) else json.dumps(value)


def shown(attributes: Attributes) -> list[ShownAttribute]:
    """Return the attributes of an organization for people, in the order of the names."""
    above = {one.name: one for one in attributes.inherited}
    found = []
    for name in sorted(above.keys() | attributes.own.keys()):
        inherited = above.get(name)
        is_own = name in attributes.own
        source = "above" if inherited is None or inherited.source_key is None else inherited.source_key
        value = attributes.own[name] if is_own else inherited.value if inherited else None
        hides = f"{value_in_words(inherited.value)} from {source}" if is_own and inherited else ""
        found.append(ShownAttribute(name, value_in_words(value), "itself" if is_own else source, is_own, hides))
    return found
