"""JSON Schemas of values (draft 2020-12), checked so that no schema and no value can hold Flagsite up.

A schema refers to nothing outside itself. Regular expressions are those of RE2, which takes linear time. Everything
else costs steps, and a check that needs more than MOST_STEPS is refused. `format` describes and checks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from jsonschema import Draft202012Validator, FormatChecker, SchemaError
from jsonschema import ValidationError as Misfit
from jsonschema.validators import create
from referencing import Registry
from referencing.exceptions import Unresolvable

from flags.values.checks import canonical_json, check_json
from flags.values.patterns import WrongPattern, compiled

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MOST_STEPS = 100_000
"""What all values of a check may cost together: some tenths of a second."""
STEPS_OF_A_VALUE = 50
"""What each value adds to that, so that there may be many values."""
STEPS_OF_A_REFERENCE = 5
"""What each part of a reference costs, such as the two of `#/$defs/price`: it is looked up each time."""
MOST_PARTS = 1_000
"""The most objects and booleans in a schema, each of which may be a schema."""
CHARACTERS_OF_A_STEP = 16
LONGEST_MESSAGE = 200
REFUSED = frozenset(
    {"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$vocabulary", "unevaluatedItems", "unevaluatedProperties"}
)
"""Keywords that Flagsite does not take: what they need is not bounded, or not in the schema itself."""
NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords with schemas by names, which are no keywords."""
DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords with values in them, and no schemas."""
_left: ContextVar[int] = ContextVar("steps left")


class _TooSlow(Exception):
    """The check needs more steps than it may."""


def check_schema(schema: Any) -> None:
    """Check that something is a JSON Schema that Flagsite takes. None is no schema. Raises ValidationError."""
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise ValidationError('Not a JSON Schema: an object such as {"enum": ["blue", "red"]}, or null for none.')
    check_json(schema)
    _check_keywords(schema)
    _check_as_schema(canonical_json(schema))


@lru_cache(maxsize=128)
def _check_as_schema(text: str) -> None:
    """Check that JSON is a schema. A request checks the same schema several times. Raises ValidationError."""
    schema = json.loads(text)
    if _schemas_in(schema) > MOST_PARTS:
        raise ValidationError(f"The schema has more than {MOST_PARTS:,} objects and booleans.")
    try:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except RecursionError:
        raise ValidationError("The schema is nested too deeply.") from None
    except SchemaError as error:
        raise ValidationError(f"Not a JSON Schema{_message(error)}") from error


def check_values(schema: Mapping[str, Any] | None, values: Iterable[tuple[str, Any]]) -> None:
    """Check values, each with its name in words, against a checked schema. Raises ValidationError."""
    if schema is None:
        return
    token = _left.set(MOST_STEPS)
    try:
        validator = _Validator(schema, registry=Registry())
        for name, value in values:
            _left.set(_left.get() + STEPS_OF_A_VALUE)
            misfit = next(validator.iter_errors(value), None)
            if misfit is not None:
                raise ValidationError(f"{name} does not fit the schema{_message(misfit)}") from misfit
    except (_TooSlow, RecursionError):
        raise ValidationError(
            "To check the values against this schema takes too long. Write it with fewer alternatives and references."
        ) from None
    except Unresolvable as error:
        raise ValidationError(f"The schema refers to {error.ref!r}, which it does not have.") from error
    except (ValueError, TypeError, AttributeError, LookupError):  # a reference leads to something that is no schema
        raise ValidationError("The schema refers to a part of it that is no schema.") from None
    finally:
        _left.reset(token)


def _schemas_in(value: Any) -> int:
    """Return the number of objects and booleans in a schema, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict | bool) + sum(map(_schemas_in, inner))


def _check_keywords(schema: Any) -> None:
    """Check what a schema of a schema cannot say, in a schema and in all that is in it."""
    if isinstance(schema, list):
        for each in schema:
            _check_keywords(each)
    if isinstance(schema, dict):
        for name, value in schema.items():
            _check_keyword(name, value)
            if name in NAMED and isinstance(value, dict):
                _check_keywords(list(value.values()))
            elif name not in DATA:
                _check_keywords(value)


def _check_keyword(name: str, value: Any) -> None:
    """Check that a keyword leads to nothing outside, and that its patterns are those of RE2."""
    if name in REFUSED:
        raise ValidationError(f"Flagsite takes no {name} in a schema.")
    if name == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            _compiled(pattern)
    if not isinstance(value, str):
        return
    if name == "$ref" and not (value == "#" or value.startswith("#/")):
        raise ValidationError(f'The reference {value[:100]!r} leads out of the schema. Write "#/$defs/…".')
    if name == "$schema" and value.rstrip("#") != DRAFT:
        raise ValidationError(f"Flagsite knows JSON Schema of the draft 2020-12 only: {DRAFT}.")
    if name == "pattern":
        _compiled(value)


def _compiled(pattern: str) -> Any:
    """Return a compiled pattern. Raises ValidationError."""
    try:
        return compiled(pattern)
    except WrongPattern as error:
        raise ValidationError(f"{pattern[:100]!r} is no regular expression of RE2 for Flagsite: {error}.") from None


def _spend(steps: int) -> None:
    left = _left.get() - steps
    if left < 0:
        raise _TooSlow
    _left.set(left)


def _finds(pattern: str, text: str) -> bool:
    _spend(1 + len(text) // CHARACTERS_OF_A_STEP)
    return _compiled(pattern).search(text) is not None


def _reference(validator: Any, reference: str, instance: Any, schema: Any) -> Iterator[Misfit]:
    _spend(STEPS_OF_A_REFERENCE * (1 + reference.count("/")))
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, schema) or ()


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Misfit]:
    if isinstance(instance, str) and not _finds(pattern, instance):
        yield Misfit(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any) -> Iterator[Misfit]:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _finds(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Iterator[Misfit]:
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in named or any(_finds(pattern, name) for pattern in patterns):
            continue
        if additional is False:
            yield Misfit(f"{name!r} is not allowed")
        else:
            yield from validator.descend(value, additional, path=name)


def _unique_items(_: Any, is_wanted: bool, instance: Any, __: Any) -> Iterator[Misfit]:
    if is_wanted and isinstance(instance, list):
        _spend(_parts(instance))
        if len({canonical_json(_by_number(each)) for each in instance}) < len(instance):
            yield Misfit("the items are not all different")


def _by_number(value: Any) -> Any:
    """Return a value in which equal numbers are written alike: 1.0 as 1."""
    if isinstance(value, list):
        return [_by_number(each) for each in value]
    if isinstance(value, dict):
        return {name: _by_number(each) for name, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parts(value: Any) -> int:
    """Return the number of values in a value, itself included; a long text counts as several."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS_OF_A_STEP
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_parts, inner))


def _paid(check: Callable[..., Any], *, compares: bool) -> Callable[..., Any]:
    """Return the check of a keyword, which costs a step and one for each member of its argument.

    A check that `compares` values costs a step for all that is in its argument.
    """

    def paid(validator: Any, argument: Any, instance: Any, schema: Any) -> Any:
        _spend(_parts(argument) if compares else 1 + (len(argument) if isinstance(argument, list | dict) else 0))
        return check(validator, argument, instance, schema)

    return paid


def _keywords(schema: Any) -> Iterable[tuple[str, Any]]:
    """Return the keywords of a schema that is applied, which costs a step each."""
    _spend(1 + len(schema))
    items: Iterable[tuple[str, Any]] = schema.items()
    return items


def _message(error: Any) -> str:
    """Return a sentence on the first fault, with its place."""
    place = "/".join(str(each) for each in error.absolute_path)
    text = error.message if len(error.message) <= LONGEST_MESSAGE else f"{error.message[:LONGEST_MESSAGE]}…"
    return f" at {place}: {text}." if place else f": {text}."


_OWN = {
    "$ref": _reference,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_COMPARING = frozenset({"const", "dependentRequired", "enum"})
_Validator: Any = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators={
        name: _paid(check, compares=name in _COMPARING)
        for name, check in {**Draft202012Validator.VALIDATORS, **_OWN}.items()
        if name not in REFUSED
    },
    type_checker=Draft202012Validator.TYPE_CHECKER,
    applicable_validators=_keywords,
)
