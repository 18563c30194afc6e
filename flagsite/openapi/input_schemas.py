"""The schemas of input in the OpenAPI document: they say what Flagsite refuses.

A body with an unknown field is refused, so each body has `additionalProperties: false`. A text with NUL is refused,
and a text without anything but white space where a field may not be blank, so each text has a pattern.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from flagsite.core.adapters.drf_spectacular import ExtensibleSchema
from flagsite.core.api.input import InputSerializer

ANY_TEXT = r"^[^\u0000]*$"
BLANKS = r"\s\u001c-\u001f\u0085"
"""What Python strips from a text: `\\s` of ECMA 262, and some control characters."""
NOT_BLANK_TEXT = rf"^[^\u0000]*[^\u0000{BLANKS}][^\u0000]*$"


class InputSchema(ExtensibleSchema):
    """The schema class of all views."""

    def describe_serializer(self, serializer: Any, schema: dict[str, Any]) -> None:
        """Say that a body has no other fields, and which fields it has together."""
        if isinstance(serializer, InputSerializer):
            schema |= {"additionalProperties": False, **serializer.combinations}

    def describe_field(self, field: Any, schema: dict[str, Any]) -> None:
        """Say which texts a field of a body or a query takes."""
        if not isinstance(field.root, InputSerializer) or not _is_plain_text(field, schema):
            return
        schema["pattern"] = ANY_TEXT if field.allow_blank or not field.trim_whitespace else NOT_BLANK_TEXT
        if not field.allow_blank:
            schema["minLength"] = 1


def _is_plain_text(field: Any, schema: dict[str, Any]) -> bool:
    """Return whether the field takes every text of its length, as far as the schema says."""
    return (
        isinstance(field, serializers.CharField)
        and schema.get("type") == "string"
        and not schema.keys() & {"pattern", "format", "enum"}
    )
