"""Fields that name an organization in JSON and in queries, by a reference (`orgs.tree.references`)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flagsite.core import example_names as names
from flagsite.core.api.input import whole_number
from flagsite.core.ids import MAX_ID
from orgs.tree.references import LONGEST, Reference, parse_reference

HOW_TO_NAME = f"By its id or its key: {names.WAYS_TO_NAME}."


REFERENCE_FORMAT = "organization-reference"
"""The format that marks a text with a reference in the OpenAPI document."""
REFERENCE_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST,
    "pattern": r"^[^\u0000]+$",
    "format": REFERENCE_FORMAT,
}


@extend_schema_field(REFERENCE_SCHEMA)
class ReferenceInQuery(serializers.CharField):
    """A query parameter that names an organization."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST, trim_whitespace=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Reference:
        return parse_reference(super().run_validation(data))


@extend_schema_field(
    {"oneOf": [{"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID}, REFERENCE_SCHEMA]}
)
class ReferenceInBody(serializers.Field[Reference, Any, Any, Any]):
    """A JSON integer, which is an id, or a JSON string, which is a reference."""

    default_error_messages = {
        "invalid": "Name an organization by its id, such as 31, or by a text such as id:31, acme or key:acme."
    }

    def to_internal_value(self, data: Any) -> Reference:
        if isinstance(data, str) and 0 < len(data) <= LONGEST:
            return parse_reference(data)
        number = whole_number(data)
        if number is None or not 0 < number <= MAX_ID:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return parse_reference(number)

    def to_representation(self, value: Any) -> Any:
        return value
