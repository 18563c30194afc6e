"""The definition fields that a schedule may change, in JSON by their wire names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions.fields import FIELDS
from flags.errors import InvalidSchedule

SCHEDULABLE = {spec.wire_name: spec for spec in FIELDS.values() if spec.is_schedulable}
"""The spec of each, by its wire name."""


def check(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a schedule is to set, if a definition may have them so. Raises InvalidSchedule."""
    if not wanted:
        raise InvalidSchedule("Nothing to apply: name at least one field.")
    for name, value in wanted.items():
        if name not in SCHEDULABLE:
            known = ", ".join(SCHEDULABLE)
            raise InvalidSchedule(f"A definition's {name[:100]!a} cannot be scheduled; these can: {known}.")
        try:
            SCHEDULABLE[name].check(value)
        except ValidationError as error:
            raise InvalidSchedule(f"{name}: {' '.join(error.messages)}") from error
    return dict(wanted)


def values_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields as `flags.definitions.service.update` takes them. Raises InvalidSchedule."""
    checked = check(wanted)
    return {SCHEDULABLE[name].name: SCHEDULABLE[name].value_from_json(value) for name, value in checked.items()}
