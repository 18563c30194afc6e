"""The `defaultValue` of a flag in the manifest: that of a boolean flag is its default, that of others a variant's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from flags.definitions.fields import differ
from flags.definitions.models import Flag
from flags.values.types import FlagType

FIRST_KEY = "default"
"""The key of the variant that a value of the manifest gets."""


def default_value(flag: Flag) -> Any:
    """Return the value that generated code falls back to: that of the default variant.

    Without a default variant it is that of the off variant, and without both that of the first variant.
    """
    if flag.type == FlagType.BOOLEAN:
        return flag.enabled
    values = {each["key"]: each["value"] for each in flag.variants}
    return next(values[key] for key in (flag.default_variant, flag.off_variant, *values) if key in values)


def new_fields(flag_type: str, value: Any) -> dict[str, Any]:
    """Return the definition fields of a new flag: a boolean default, or one variant, which everybody gets."""
    if flag_type == FlagType.BOOLEAN:
        return {"type": flag_type, "enabled": value}
    return {"type": flag_type, "enabled": True, "variants": [{"key": FIRST_KEY, "value": value}]}


def changed_fields(flag: Flag, value: Any) -> dict[str, Any]:
    """Return the definition fields with which a flag gets another `defaultValue`.

    If a variant has the value, it becomes the default variant. If none has, the default variant gets the value, or a
    new one, if there is none.
    """
    if flag.type == FlagType.BOOLEAN:
        return {"enabled": value}
    if not differ([default_value(flag)], [value]):
        return {}
    alike = [each["key"] for each in flag.variants if not differ([each["value"]], [value])]
    if alike:
        return {"default_variant": alike[0]}
    variants = [{"key": each["key"], "value": each["value"]} for each in flag.variants]
    if flag.default_variant:
        changed = [each | {"value": value} if each["key"] == flag.default_variant else each for each in variants]
        return {"variants": changed}
    key = next(key for key in _keys() if key not in {each["key"] for each in variants})
    return {"variants": [*variants, {"key": key, "value": value}], "default_variant": key}


def _keys() -> Iterator[str]:
    yield FIRST_KEY
    yield from (f"{FIRST_KEY}-{number}" for number in count(2))
