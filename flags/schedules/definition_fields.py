"""The fields of a definition that can be scheduled, as they are written on the wire and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flags.errors import InvalidSchedule

MOST_WORDS, LONGEST_WORD = 10_000, 255


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the wire: its column, whether a value fits, and what one looks like."""

    column: str
    fits: Callable[[Any], bool]
    looks_like: str
    in_python: Callable[[Any], Any] = lambda value: value


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_percentage(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 100 and Decimal(str(value)) == round(Decimal(str(value)), 3)  # noqa: PLR2004


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_WORD and "\x00" not in value


def _are_environments(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MOST_WORDS
        and all(_is_word(name) and _is_boolean(forced) for name, forced in value.items())
    )


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_WORDS and all(map(_is_word, value))


FIELDS = {
    "enabled": Field("enabled", _is_boolean, "true or false"),
    "killed": Field("killed", _is_boolean, "true or false"),
    "archived": Field("archived", _is_boolean, "true or false"),
    "rolloutPercentage": Field(
        "rollout_percentage", _is_percentage, "a number from 0 to 100 with at most three decimals, or null",
        lambda value: None if value is None else Decimal(str(value)),
    ),
    "environments": Field("environments", _are_environments, "an object of names and true or false"),
    "userWhitelist": Field("whitelist", _are_words, "a list of targeting keys"),
}  # fmt: skip


def check(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, if a definition has each and the values fit. Raises InvalidSchedule."""
    if not fields:
        raise InvalidSchedule("Nothing to apply: name at least one field.")
    for name, value in fields.items():
        if name not in FIELDS:
            raise InvalidSchedule(f"A definition's {name[:100]!a} cannot be scheduled; these can: {', '.join(FIELDS)}.")
        if not FIELDS[name].fits(value):
            raise InvalidSchedule(f"{name} must be {FIELDS[name].looks_like}.")
    return dict(fields)


def values_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same as Python has it, by the model's names. Raises InvalidSchedule."""
    return {FIELDS[name].column: FIELDS[name].in_python(value) for name, value in check(fields).items()}
