"""The numbers that the variants of a flag get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags.values.variants import FIRST_CUSTOM_VALUE

MOST_NUMBERS = FIRST_CUSTOM_VALUE - 1
"""How many variants a flag can have in its life."""


def numbered(
    variants: Sequence[Mapping[str, Any]], *, before: Sequence[Mapping[str, Any]], made: int
) -> list[dict[str, Any]]:
    """Return the variants of a definition with their numbers.

    A variant keeps the number that its key has in the variants of `before`. One that an undo brings back brings its
    number along. Others get the next number after `made`, the highest that the flag has ever given.
    """
    numbers = {each["key"]: each["number"] for each in before}
    brought = {each["key"]: each["number"] for each in variants if each.get("number", made + 1) <= made}
    numbers = brought | numbers
    kept = []
    for each in variants:
        number = numbers.get(each["key"])
        if number is None:
            number = made = made + 1
        kept.append({"key": each["key"], "value": each["value"], "number": number})
    return kept


def without_numbers(variants: Any) -> list[dict[str, Any]]:
    """Return the variants of a definition as JSON has them. Their numbers stay inside."""
    return [{"key": each["key"], "value": each["value"]} for each in variants]
