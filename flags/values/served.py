"""What an evaluation serves: a variant and its value.

A boolean flag serves `on` with true, or `off` with false. Another flag serves one of its variants or a custom value, or
no value: then the application's own default counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED, CUSTOM, Variant, is_custom


@dataclass(frozen=True, slots=True)
class Served:
    """The key of a variant and its value. Without a variant, the key is empty and the value is None.

    The value has the type of the flag: JSON may have 1 for the float 1.0, but here it is a float.
    """

    variant: str
    value: Any


ON, OFF = Served("on", value=True), Served("off", value=False)
NOTHING = Served("", None)


class HasVariants(Protocol):
    """The part of a definition that says what the flag can serve."""

    @property
    def type(self) -> FlagType:
        """The type of the values."""

    @property
    def variants(self) -> Sequence[Variant]:
        """The variants. A boolean flag has none of its own."""

    @property
    def default_variant(self) -> str:
        """The key of the variant for on; may be empty."""

    @property
    def off_variant(self) -> str:
        """The key of the variant for off; may be empty."""


def served(
    flag: HasVariants,
    *,
    enabled: bool,
    is_stopped: bool = False,
    number: int = BY_ENABLED,
    key: str = "",
    custom: Any = None,
    default: str = "",
) -> Served:
    """Return what a flag serves.

    Args:
        flag: the definition.
        enabled: whether the flag is on. If it is off, it serves its off variant.
        is_stopped: whether it is archived or killed. Then it serves false, or no value.
        number: the number of the variant or custom value of the organization, or 0 for none in particular.
        key: the variant of the targeting rule that decided; empty if another rule decided.
        custom: the custom value of this number.
        default: the variant that takes the place of the default variant; empty for none.

    Returns:
        The variant and its value. A number or key that stands for nothing any more counts as none in particular, and so
        does a value that is not of the flag's type.
    """
    if flag.type == FlagType.BOOLEAN:
        return ON if enabled else OFF
    if is_stopped:
        return NOTHING
    if not enabled:
        return _by_key(flag, flag.off_variant) or NOTHING
    found = chosen(flag, number=number, key=key, custom=custom)
    return found or _by_key(flag, default) or _by_key(flag, flag.default_variant) or NOTHING


def chosen(flag: HasVariants, *, number: int = BY_ENABLED, key: str = "", custom: Any = None) -> Served | None:
    """Return the variant or custom value that a targeting rule or an organization has chosen for a flag that is on.

    None if they have chosen none in particular. The arguments are those of `served`.
    """
    if key:
        return _by_key(flag, key)
    if is_custom(number):
        return _of(flag, CUSTOM, custom)
    return next((_of(flag, each.key, each.value) for each in flag.variants if each.number == number), None)


def name_of(variants: Sequence[Variant], number: int) -> str:
    """Return the key of the variant with a number, or CUSTOM for a custom value. Empty for none in particular."""
    if is_custom(number):
        return CUSTOM
    return next((each.key for each in variants if each.number == number), "")


def sentence_on(found: Served) -> str:
    """Return the sentence that says what is served."""
    if not found.variant:
        return "It serves no value, so the application's own default counts."
    return "It serves a custom value." if found.variant == CUSTOM else f"It serves the variant {found.variant!r}."


PYTHON_TYPES: Mapping[FlagType, tuple[type, ...]] = {
    FlagType.BOOLEAN: (bool,),
    FlagType.STRING: (str,),
    FlagType.INTEGER: (int,),
    FlagType.FLOAT: (int, float),
    FlagType.OBJECT: (dict, list),
}


def is_of_type(value: Any, flag_type: FlagType) -> bool:
    """Return whether a JSON value, as Python reads it, is of a type of flags. JSON may have 1 for the float 1.0."""
    return type(value) in PYTHON_TYPES[flag_type]


def as_json(value: Any, flag_type: FlagType) -> bytes:
    """Return a value in JSON, written by the type of its flag: a float always has a point, an integer never has."""
    if flag_type == FlagType.FLOAT:
        return _float_text(value).encode()
    if flag_type == FlagType.INTEGER:
        return str(value).encode()
    try:
        return orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits in an object
        return json.dumps(value, separators=(",", ":")).encode()


NESTED = frozenset({dict, list})


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares no object or array with it."""
    if isinstance(value, dict):
        return {name: copied(part) if type(part) in NESTED else part for name, part in value.items()}
    if isinstance(value, list):
        return [copied(part) if type(part) in NESTED else part for part in value]
    return value


def _by_key(flag: HasVariants, key: str) -> Served | None:
    return next((_of(flag, key, each.value) for each in flag.variants if each.key == key), None) if key else None


def _of(flag: HasVariants, key: str, value: Any) -> Served | None:
    if not is_of_type(value, flag.type):
        return None
    return Served(key, float(value) if flag.type == FlagType.FLOAT else value)


def _float_text(value: float) -> str:
    text = repr(value)
    mantissa, exponent, power = text.partition("e")
    return text if "." in mantissa else f"{mantissa}.0{exponent}{power}"
