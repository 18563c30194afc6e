"""JSON that people type into forms: what Python cannot read is an error of the field, and not of the page."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

DEEPEST = 100
"""The most levels of lists and objects, far more than any form needs."""


class TypedJson(json.JSONDecoder):
    """Reads JSON for `forms.JSONField`, which knows no other error than JSONDecodeError.

    Python raises other errors for JSON that is nested very deeply, and for numbers with thousands of digits.
    """

    def decode(self, text: str, *arguments: Any) -> Any:
        """Return the value. Raises JSONDecodeError."""
        try:
            value = super().decode(text, *arguments)
        except json.JSONDecodeError:
            raise
        except (RecursionError, ValueError):
            raise json.JSONDecodeError("This is nested too deeply, or a number is too long", "", 0) from None
        if is_deep(value):
            raise json.JSONDecodeError("This is nested too deeply", "", 0)
        return value


class ReadableJson(forms.JSONField):
    """JSON that a person can read: a list with a line for each entry, and nothing for null.

    What is no JSON is an error that names the line and the column.
    """

    def to_python(self, value: Any) -> Any:
        """Return the value. Raises ValidationError."""
        try:
            return super().to_python(value)
        except ValidationError as error:
            found = error.__context__
            if not isinstance(found, json.JSONDecodeError) or not found.doc:
                raise
            place = f"Line {found.lineno}, column {found.colno}: {found.msg}."
            raise ValidationError(f"{' '.join(error.messages)} {place}", code="invalid") from error

    def prepare_value(self, value: Any) -> Any:
        """Return the text of the input. What is no JSON stays as the person has written it."""
        if isinstance(value, InvalidJSONInput):
            return value
        if isinstance(value, list) and value:
            lines = ",\n ".join(json.dumps(each, ensure_ascii=False) for each in value)
            return f"[{lines}]"
        return "" if value is None else json.dumps(value, ensure_ascii=False)


def line_of_element(text: str, number: int) -> int:
    """Return the line on which an element of a JSON array begins; the first element has the number 1.

    Returns 0 if the text is no array, or has no such element.
    """
    decoder, end = json.JSONDecoder(), len(text)
    at = text.find("[") + 1
    for place in range(1, number + 1):
        while at < end and text[at] in " \t\r\n,":
            at += 1
        if not at or at >= end or text[at] == "]":
            return 0
        if place == number:
            break
        try:
            _, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return 0
    return text.count("\n", 0, at) + 1


def is_deep(value: Any) -> bool:
    """Return whether the value has more than DEEPEST levels of lists and objects."""
    level, values = 0, [value]
    while values and level <= DEEPEST:
        inner = [each for each in values if isinstance(each, (list, dict))]
        values = [part for each in inner for part in (each.values() if isinstance(each, dict) else each)]
        level += 1
    return bool(values)
