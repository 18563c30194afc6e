"""The definition fields that a schedule may change, and their conversion from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions.fields import FIELDS
from flags.errors import InvalidSchedule

SCHEDULABLE = {spec.wire_name: spec for spec in FIELDS.values() if spec.is_schedulable}
"""The specs of these fields by their names in JSON."""


def check(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Check the fields that a schedule will set, and return them. Raises InvalidSchedule."""
    if not wanted:
        raise InvalidSchedule("The change is empty. Name at least one field.")
    for name, value in wanted.items():
        if name not in SCHEDULABLE:
            allowed = ", ".join(SCHEDULABLE)
            raise InvalidSchedule(f"The field {name[:100]!a} cannot be scheduled. Possible fields are: {allowed}.")
        try:
            SCHEDULABLE[name].check(value)
        except ValidationError as error:
            raise InvalidSchedule(f"{name}: {' '.join(error.messages)}") from error
    return dict(wanted)


def values_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Convert these fields to the values of `flags.definitions.service.update`. Raises InvalidSchedule."""
    checked = check(wanted)
    return {SCHEDULABLE[name].name: SCHEDULABLE[name].value_from_json(value) for name, value in checked.items()}
