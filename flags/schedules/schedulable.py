"""The parts of a definition that can be scheduled, as they are written on the wire and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions import rules
from flags.definitions.fields import FIELDS
from flags.errors import InvalidSchedule

PARTS = ("enabled", "killed", "archived", "rollout_percentage", "environments", "whitelist")
NAMES = {FIELDS[part]: part for part in PARTS}
"""The name on the wire of each, and the model's."""


def check(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted, if a definition may have it. Raises InvalidSchedule."""
    if not wanted:
        raise InvalidSchedule("Nothing to apply: name at least one field.")
    for name, value in wanted.items():
        if name not in NAMES:
            raise InvalidSchedule(f"A definition's {name[:100]!a} cannot be scheduled; these can: {', '.join(NAMES)}.")
        try:
            rules.check(NAMES[name], value)
        except ValidationError as error:
            raise InvalidSchedule(f"{name}: {' '.join(error.messages)}") from error
    return dict(wanted)


def values_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The same as Python has it, by the model's names. Raises InvalidSchedule."""
    return {NAMES[name]: _in_python(NAMES[name], value) for name, value in check(wanted).items()}


def _in_python(part: str, value: Any) -> Any:
    convert = CONVERT.get(part)
    return value if convert is None or value is None else convert(value)


CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "rollout_percentage": lambda number: Decimal(str(number)),
    "whitelist": lambda keys: list(dict.fromkeys(keys)),
}
