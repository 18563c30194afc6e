"""The variants of a flag: its values, each with a key.

Rows of the database name a variant by its number. The number 0 stands for no variant in particular: the default variant
where the flag is on, and the off variant where it is off. Numbers from FIRST_CUSTOM_VALUE on are no variants but custom
values: values that a setting has given in place of a variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BY_ENABLED = 0
MOST_VARIANTS = 250
FIRST_CUSTOM_VALUE = 1001
CUSTOM = "custom"
"""The key under which a custom value is served, which no variant has."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant: its number, which is never used for another variant of the flag, its key and its value."""

    number: int
    key: str
    value: Any


def variants_of(stored: Iterable[Mapping[str, Any]]) -> tuple[Variant, ...]:
    """Return variants as evaluation reads them, from those of a definition."""
    return tuple(Variant(each["number"], each["key"], each["value"]) for each in stored)


def is_custom(number: int) -> bool:
    """Return whether the number stands for a custom value."""
    return number >= FIRST_CUSTOM_VALUE


def word_of(number: int, stored: Iterable[Mapping[str, Any]]) -> str:
    """Return the word for a number, among the variants of a definition. Empty for none in particular."""
    if number == BY_ENABLED:
        return ""
    keys = (each["key"] for each in stored if each["number"] == number)
    return "a custom value" if is_custom(number) else next(keys, f"a former variant ({number})")
