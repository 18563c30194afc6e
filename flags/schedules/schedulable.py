"""What a scheduled change may change: fields of a definition, or the setting of an organization, as JSON has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions import typed_definitions
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.errors import InvalidDefinition, InvalidSchedule, InvalidValue, UnknownSegment
from flags.segments.uses import check_named
from flags.states.choices import Choice
from flags.states.setting_rules import Below
from flags.values.checks import canonical_json
from flags.values.stored_json import restored

SCHEDULABLE = {spec.wire_name: spec for spec in FIELDS.values() if spec.is_schedulable}
"""The specs of these fields by their names in JSON."""
HERE, BELOW = "here", "below"
CHOICES: Mapping[str, tuple[object, ...]] = {
    "enabled": (True, False), "below": tuple(each.value for each in Below), "reach": (BELOW, HERE), "reset": (True,),
    "subtree": (True, False),
}  # fmt: skip
"""The fields of a scheduled change of an organization's setting, with their values."""
HOW = ("below", "reach")
"""Those that say how the value is set."""
VALUES = ("variant", "value")
"""Those that give a flag a variant or a custom value instead of `enabled`. The flag decides what is possible."""
ON_OR_OFF = (
    'An organization\'s value is on or off, {"enabled": true} or {"enabled": false}, or one of {"variant": …} and '
    '{"value": …}, if you like with below and reach. Or the flag is reset: {"reset": true}, if you like with subtree.'
)


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


def check_together(flag: Flag, wanted: Mapping[str, Any]) -> None:
    """Check that the variants and segments exist for which a scheduled change asks. Raises InvalidSchedule."""
    values = values_of(wanted)
    try:
        typed_definitions.check_change(flag, {n: v for n, v in values.items() if n in typed_definitions.DEPENDENT})
        check_named(values.get("targeting_rules", ()))
    except (InvalidDefinition, UnknownSegment) as error:
        raise InvalidSchedule(error.detail) from error


def values_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Convert these fields to the values of `flags.definitions.service.update`. Raises InvalidSchedule."""
    checked = check(wanted)
    return {SCHEDULABLE[name].name: SCHEDULABLE[name].value_from_json(value) for name, value in checked.items()}


def check_setting(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Check the setting that a schedule will make on an organization, and return it. Raises InvalidSchedule."""
    of_settings = {*CHOICES, *VALUES}
    of_definitions = {name: value for name, value in wanted.items() if name in SCHEDULABLE or name not in of_settings}
    if of_definitions or not wanted:
        check(of_definitions)
    for name, value in wanted.items():
        if name in VALUES:
            continue
        if name not in CHOICES:
            raise InvalidSchedule(ON_OR_OFF)
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in CHOICES[name]):
            choices = ", ".join(json.dumps(choice) for choice in CHOICES[name])
            raise InvalidSchedule(f"{name}: This is not one of {choices}.")
    given = [name for name in ("enabled", *VALUES, "reset") if name in wanted]
    if len(given) != 1 or set(wanted) - {*given, *(("subtree",) if given == ["reset"] else HOW)}:
        raise InvalidSchedule(ON_OR_OFF)
    if not isinstance(wanted.get("variant", ""), str):
        raise InvalidSchedule("variant: The key of a variant is a text.")
    if wanted.get("reach") == HERE:
        wanted = {"below": Below.KEEP.value, **wanted}
        if wanted["below"] != Below.KEEP:
            raise InvalidSchedule("reach: A value that counts here only goes with `below: keep`.")
    return dict(wanted)


def below_of(wanted: Mapping[str, Any]) -> Below:
    """Return what a scheduled setting does with the settings below. Without a word about them, it ends them."""
    return Below(wanted.get("below", Below.OVERWRITE))


def setting_in_words(wanted: Mapping[str, Any]) -> str:
    """Return a short text on the setting that a schedule makes: on, off, or as inherited, and how."""
    if "reset" in wanted:
        return "as inherited, here and below" if wanted.get("subtree") else "as inherited"
    value = value_in_words(wanted)
    if below_of(wanted) is Below.LOCK:
        return f"locked {value}"
    if wanted.get("reach") == HERE:
        return f"{value}, here only"
    return f"{value}, settings below stay" if below_of(wanted) is Below.KEEP else value


def value_in_words(wanted: Mapping[str, Any]) -> str:
    """Return the value that a schedule sets for people: on, off, the key of a variant, or a value in JSON."""
    if "value" in wanted:
        return canonical_json(wanted["value"])
    return str(wanted.get("variant") or ("on" if wanted["enabled"] else "off"))


def choice_of(wanted: Mapping[str, Any]) -> Choice | None:
    """Return what a checked scheduled change sets; None if it resets the flag."""
    if "reset" in wanted:
        return None
    stored = {"value": restored(wanted["value"])} if "value" in wanted else {}
    return Choice.among({**wanted, **stored})


def check_choice(flag: Flag, wanted: Mapping[str, Any]) -> None:
    """Check that the flag can have what a scheduled change sets on an organization. Raises InvalidSchedule."""
    choice = choice_of(wanted)
    try:
        if choice is not None:
            choice.of(flag)
    except InvalidValue as error:
        raise InvalidSchedule(error.detail) from error
