"""The attributes of an evaluation context, by name.

A name is that of a member of the context, or a path with dots to a member of an object in it: `plan`, `company.size`.
A member whose own name has the dots counts before the path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

TARGETING_KEY = "targetingKey"
OF_ORGANIZATION = "org."
"""How the names of attributes begin that belong to the organization. No evaluation context has them."""
Attributes = Mapping[str, Any]
"""The evaluation context, as the request has it: names and JSON values."""
NO_ATTRIBUTES: Attributes = {}
Getter = Callable[[Attributes], Any]


def name_of_organization(attribute: str) -> str:
    """Return the name of an organization's attribute, such as `plan` for `org.plan`; empty for all others."""
    return attribute.removeprefix(OF_ORGANIZATION) if attribute.startswith(OF_ORGANIZATION) else ""


@lru_cache(maxsize=4096)
def getter(name: str) -> Getter:
    """Return the function that reads an attribute. It returns None if the attribute is missing or null."""
    if "." not in name:
        return lambda attributes: attributes.get(name)
    steps = name.split(".")

    def read(attributes: Attributes) -> Any:
        found = attributes.get(name)
        if found is not None:
            return found
        found = attributes
        for step in steps:
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return found

    return read


def reader_of(names: Sequence[str]) -> Callable[[Attributes], bytes]:
    """Return the function that writes the values of these attributes as bytes: the same bytes for the same values."""
    if not names:
        return lambda attributes: b""
    getters = [getter(name) for name in names]

    def read(attributes: Attributes) -> bytes:
        values = [get(attributes) for get in getters]
        try:
            return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # half of a character, or a number of more than 64 bits
            return _written_slowly(values)

    return read


def _written_slowly(values: list[Any]) -> bytes:
    try:
        return json.dumps(values, sort_keys=True).encode()
    except RecursionError:  # like no other values
        return os.urandom(16)
