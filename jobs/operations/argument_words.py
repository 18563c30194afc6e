"""What is wrong with the arguments of a job, in words for the people who have sent them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema import ValidationError

from flagsite.core.words import counted

MOST_ERRORS, LONGEST_ERROR, LONGEST_NAME = 20, 400, 100
MOST_CHOICES = 30
"""Of a longer enumeration, a message names so many."""
TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a JSON object",
    "string": "a text",
}
FORMATS = {"date": "a day such as 2026-11-30", "date-time": "a time such as 2026-11-30T09:00:00Z"}
Place = tuple[str, ...]


def errors_in_words(errors: Iterable[ValidationError]) -> list[tuple[Place, str]]:
    """Return the place and the message of each error that a validator of a JSON schema has found, by place.

    These are MOST_ERRORS errors at most. No message and no part of a place is long, whatever the caller has sent.
    """
    found = islice((one for error in errors for one in _in_words(error)), MOST_ERRORS)
    return sorted((tuple(part[:LONGEST_NAME] for part in place), _shortened(message)) for place, message in found)


def _in_words(error: ValidationError) -> Iterable[tuple[Place, str]]:
    place, rule = tuple(map(str, error.absolute_path)), str(error.validator)
    if rule == "required":
        return [((*place, name), "This argument is required.") for name in _missing(error)]
    if rule == "additionalProperties" and isinstance(error.schema, Mapping):
        known = list(error.schema.get("properties", {}))
        unknown = (str(name) for name in error.instance if name not in known)
        message = f"This argument does not exist here. {_names(known)}"
        return [((*place, name), message) for name in islice(unknown, MOST_ERRORS)]
    sentence = _SENTENCES.get(rule)
    return [(place, sentence(error.validator_value) if sentence else error.message)]


def _shortened(message: str) -> str:
    """Return the message without the middle of the value at its beginning, because its end says what is wrong."""
    if len(message) <= LONGEST_ERROR:
        return message
    return f"{message[: LONGEST_ERROR // 4]}…{message[-LONGEST_ERROR // 2 :]}"


def _missing(error: ValidationError) -> list[str]:
    """Return the one missing name that the error is about. The validator makes one error for each missing name."""
    return [name for name in error.validator_value if error.message.startswith(f"{name!r} ")]


def _names(known: Sequence[str]) -> str:
    return f"The arguments are: {', '.join(known)}." if known else "No arguments can be sent."


def _one_of(schemas: Sequence[Mapping[str, Any]]) -> str:
    ways = [" and ".join(one["required"]) for one in schemas if "required" in one]
    return f"Write exactly one of these: {'; or '.join(ways)}."


def _choices(choices: Sequence[Any]) -> str:
    named = ", ".join(map(str, choices[:MOST_CHOICES]))
    more = len(choices) - MOST_CHOICES
    return f"Write one of these: {named}{f', or one of {more} others' if more > 0 else ''}."


def _type(types: str | Sequence[str]) -> str:
    names = [types] if isinstance(types, str) else types
    return f"Write {' or '.join(TYPES[name] for name in names)}."


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "enum": _choices,
    "format": lambda name: f"Write {FORMATS.get(name, f'a text of the format {name}')}.",
    "maxItems": lambda most: f"Write a list of at most {most:,}.",
    "maxLength": lambda most: f"Write at most {counted(most, 'character')}.",
    "maximum": lambda most: f"Write at most {most:,}.",
    "minItems": lambda least: f"Write a list of at least {least:,}.",
    "minLength": lambda least: f"Write at least {counted(least, 'character')}.",
    "minimum": lambda least: f"Write at least {least:,}.",
    "oneOf": _one_of,
    "type": _type,
}
