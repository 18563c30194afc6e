"""Checks of types, variants and values that somebody writes, and the form in which Flagsite keeps them.

A check returns what Flagsite keeps. It raises ValidationError with the way out in the message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from flags.values.stored_json import MOST_WHOLE
from flags.values.types import FlagType
from flags.values.variants import CUSTOM, MOST_VARIANTS

VARIANT_KEY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
VARIANT_KEY = re.compile(VARIANT_KEY_PATTERN)
LONGEST_VALUE = 16 * 2**10
"""In bytes, of a value in its canonical form."""
DEEPEST_VALUE = 20
"""The most levels of lists and objects in a value."""
ON, OFF = "on", "off"
BOOLEAN_VARIANTS: Mapping[str, bool] = {ON: True, OFF: False}
"""The variants of every boolean flag, which its definition does not list."""
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that PostgreSQL or UTF-8 cannot store."""
MEMBERS = frozenset({"key", "value"})
EXAMPLES = {
    FlagType.BOOLEAN: "true or false",
    FlagType.STRING: 'a text, such as "blue"',
    FlagType.INTEGER: f"a whole number from -{MOST_WHOLE} to {MOST_WHOLE}, written without a decimal point",
    FlagType.FLOAT: "a number, such as 0.5",
    FlagType.OBJECT: 'a JSON object, such as {"limit": 10}',
}


def canonical_json(value: Any) -> str:
    """Return a value in its canonical form: JSON with sorted names, without spaces between its parts."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def checked_value(flag_type: str, value: Any) -> Any:
    """Return a value of a type, as Flagsite keeps it: that of the type float is a float, also if written as `1`."""
    kept = _of_type(FlagType(flag_type), value)
    check_json(kept)
    return kept


def check_json(value: Any) -> None:
    """Check that a value of whatever type is JSON that every language can read, neither too deep nor too long."""
    inner, level = [value], 0
    while inner:
        if level > DEEPEST_VALUE:
            raise ValidationError(f"It has more than {DEEPEST_VALUE} levels of lists and objects.")
        for each in inner:
            _check_part(each)
        nested = [each for each in inner if isinstance(each, list | dict)]
        inner = [part for each in nested for part in (each.values() if isinstance(each, dict) else each)]
        level += 1
    if len(canonical_json(value).encode()) > LONGEST_VALUE:
        raise ValidationError(f"It has more than {LONGEST_VALUE:,} bytes of JSON.")


def check_variant_key(key: Any) -> None:
    """Check the key of a variant."""
    if key == CUSTOM:
        raise ValidationError(f"The key {CUSTOM!r} stands for custom values. Choose another one.")
    if not isinstance(key, str) or not VARIANT_KEY.fullmatch(key):
        raise ValidationError(
            "The key of a variant has 1 to 255 of A-Z a-z 0-9 . _ - and starts with a letter or digit."
        )


def checked_list(variants: Any) -> list[dict[str, Any]]:
    """Return variants as people write them, whatever the type of the flag: keys that differ, and values in JSON."""
    if not isinstance(variants, list) or len(variants) > MOST_VARIANTS:
        raise ValidationError(f"Not a list of at most {MOST_VARIANTS} variants.")
    for number, each in enumerate(variants, 1):
        if not isinstance(each, Mapping) or set(each) != MEMBERS:
            raise ValidationError(f'Variant {number} is not an object with `key` and `value`: {{"key": "blue", …}}.')
        try:
            check_variant_key(each["key"])
            check_json(each["value"])
        except ValidationError as error:
            raise ValidationError(f"Variant {number}: {' '.join(error.messages)}") from error
    keys = [each["key"] for each in variants]
    twice = [key for index, key in enumerate(keys) if key in keys[:index]]
    if twice:
        raise ValidationError(f"Two variants have the key {twice[0]!r}. Each variant needs a key of its own.")
    return [{"key": each["key"], "value": each["value"]} for each in variants]


def checked_variants(flag_type: str, variants: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the variants of a flag with this type as its definition keeps them: none for a boolean flag.

    The two variants that every boolean flag has may be written.
    """
    if flag_type == FlagType.BOOLEAN:
        written = {each["key"]: each["value"] for each in variants}
        if written and (written.keys() != BOOLEAN_VARIANTS.keys() or any(written[k] is not v for k, v in _BOOLEANS)):
            raise ValidationError(
                "A boolean flag has the variants `on` and `off` and takes no others. Leave them out, or define the "
                "flag with another type."
            )
        return []
    if not variants:
        raise ValidationError(f'A flag of the type {flag_type} needs variants: [{{"key": "…", "value": …}}].')
    kept = []
    for each in variants:
        try:
            kept.append({**each, "value": checked_value(flag_type, each["value"])})
        except ValidationError as error:
            raise ValidationError(f"The variant {each['key']!r}: {' '.join(error.messages)}") from error
    return kept


def keys_of(flag_type: str, variants: Sequence[Mapping[str, Any]]) -> Collection[str]:
    """Return the keys of the variants of a flag, with the two of a boolean flag."""
    return list(BOOLEAN_VARIANTS) if flag_type == FlagType.BOOLEAN else [each["key"] for each in variants]


def unknown_variant(key: Any, keys: Collection[str]) -> str:
    """Return the message for a key that no variant of the flag has."""
    shown = list(keys)[:_MOST_NAMED]
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    return f"Unknown variant {str(key)[:100]!r}. The variants are: {', '.join(shown)}{more}."


_BOOLEANS = tuple(BOOLEAN_VARIANTS.items())
_MOST_NAMED = 20


def _of_type(flag_type: FlagType, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        FlagType.BOOLEAN: isinstance(value, bool),
        FlagType.STRING: isinstance(value, str),
        FlagType.INTEGER: is_number and isinstance(value, int) and abs(value) <= MOST_WHOLE,
        FlagType.FLOAT: is_number,
        FlagType.OBJECT: isinstance(value, dict),
    }
    if not fits[flag_type]:
        raise ValidationError(f"The value is not of the type {flag_type}: {EXAMPLES[flag_type]}.")
    if flag_type != FlagType.FLOAT:
        return value
    try:
        return float(value)
    except OverflowError:
        raise ValidationError("The number is too great for a float.") from None


def _check_part(value: Any) -> None:
    """Check a value without what is in it."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name in value:
            _check_text(name)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError("A number is not finite. JSON has no NaN and no Infinity.")
    elif isinstance(value, int):
        if abs(value) > MOST_WHOLE:
            raise ValidationError(
                f"A whole number is not from -{MOST_WHOLE} to {MOST_WHOLE}. Write it as a text, or as a float: 1e22."
            )
    elif not isinstance(value, list) and value is not None:
        raise ValidationError("It is no JSON.")


def _check_text(text: Any) -> None:
    if not isinstance(text, str) or UNWRITABLE.search(text):
        raise ValidationError("A text has a NUL or half of a character, which nobody can store.")
