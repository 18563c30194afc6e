"""Attributes that come as JSON: which ones evaluations take, and how they read great numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

MOST_LEVELS = 100
"""The most levels of lists and objects in an evaluation context. What writes and compares values is recursive."""
LEAST_WHOLE, GREATEST_WHOLE = -(2**63), 2**64 - 1
"""The least and the greatest whole number that OFREP's reader keeps. It makes floats of all others."""
HARMLESS = frozenset({str, int, bool, type(None)})
"""The types of values that can be neither deep nor infinite."""
TOO_GREAT = "It has a number that is too great."


class WrongAttributes(ValueError):
    """Attributes that no evaluation takes. The message says why."""


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Check that JSON is not nested too deep and has finite numbers only. Raises WrongAttributes.

    A number such as 1e999 is JSON, but infinite for those who read it.
    """
    if HARMLESS.issuperset(map(type, attributes.values())):  # nearly always
        return
    inner: list[Collection[Any]] = [attributes.values()]
    for _ in range(MOST_LEVELS):
        nested: list[Collection[Any]] = []
        for values in inner:
            for value in values:
                kind = type(value)
                if kind is float:
                    _check_finite(value)
                elif kind is dict:
                    nested.append(value.values())
                elif kind is list:
                    nested.append(value)
        if not nested:
            return
        inner = nested
    raise WrongAttributes(f"It has more than {MOST_LEVELS} levels of lists and objects.")


def attributes_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes in JSON that Python's own reader has read, as OFREP reads them. Raises WrongAttributes."""
    check_attributes(content)
    return {name: _as_ofrep_reads(value) for name, value in content.items()}


def whole_number(digits: str) -> int | float:
    """Return a whole number in JSON as OFREP reads it. Raises ValueError, such as WrongAttributes."""
    return _as_ofrep_reads(int(digits))


def _as_ofrep_reads(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_ofrep_reads(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_ofrep_reads(each) for name, each in value.items()}
    if not isinstance(value, int) or LEAST_WHOLE <= value <= GREATEST_WHOLE:
        return value
    try:
        return float(value)
    except OverflowError:
        raise WrongAttributes(TOO_GREAT) from None


def _check_finite(value: float) -> None:
    if not isfinite(value):
        raise WrongAttributes(TOO_GREAT)
