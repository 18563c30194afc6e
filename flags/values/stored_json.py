"""Reading values from the database, which knows no difference between a great whole number and a float."""

from __future__ import annotations

import json
from typing import Any

MOST_WHOLE = 2**53 - 1
"""The greatest whole number that every language reads from JSON as it was written."""


class StoredJson(json.JSONDecoder):
    """Reads JSON of PostgreSQL: a whole number beyond MOST_WHOLE was written as a float, such as 1e22."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_int": number_in})


def number_in(digits: str) -> int | float:
    """Return the number that Flagsite has stored."""
    return _as_stored(int(digits))


def restored(value: Any) -> Any:
    """Return a value that was read in another way, with its numbers as Flagsite has stored them."""
    if isinstance(value, list):
        return [restored(each) for each in value]
    if isinstance(value, dict):
        return {name: restored(each) for name, each in value.items()}
    return _as_stored(value) if isinstance(value, int) else value


def _as_stored(number: int) -> int | float:
    if abs(number) <= MOST_WHOLE:
        return number
    try:
        return float(number)
    except OverflowError:  # no float was written so
        return number
