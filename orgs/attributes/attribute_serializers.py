"""Input and output of the endpoint of an organization's attributes."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flagsite.core import example_names as names
from flagsite.core.api.combinations import at_least_one
from flagsite.core.api.input import Text, WriteInput
from orgs.attributes.attribute_operations import Attributes, InheritedAttribute
from orgs.attributes.attribute_rules import (
    MAX_ATTRIBUTES,
    MAX_NUMBER,
    MAX_TEXT,
    MAX_TEXTS,
    NAME_PATTERN,
    check_all,
    check_name,
)
from orgs.errors import InvalidAttribute

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": "^[^\\u0000]+$"}
_VALUE = [
    _TEXT,
    {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
    {"type": "boolean"},
    {"type": "array", "items": _TEXT, "maxItems": MAX_TEXTS},
]
HELD_VALUE: dict[str, Any] = {"oneOf": _VALUE}
VALUES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"oneOf": [*_VALUE, {"type": "null"}]},
    "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
    "maxProperties": MAX_ATTRIBUTES,
}


@extend_schema_field(VALUES)
class AttributeValues(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object with names and values of attributes."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("Not an object with names and values.")
        if len(data) > MAX_ATTRIBUTES:
            raise ValidationError(f"An organization has at most {MAX_ATTRIBUTES} attributes of its own.")
        try:
            check_all(data)
        except InvalidAttribute as error:
            raise ValidationError(error.detail) from error
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field({"type": "object", "additionalProperties": HELD_VALUE})
class HeldValues(AttributeValues):
    """The attributes that hold in an organization: no null is among them."""


@extend_schema_field(HELD_VALUE)
class HeldValue(serializers.JSONField):
    """The value of one attribute."""


@extend_schema_field({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
class AttributeName(Text):
    """The name of an attribute."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        try:
            check_name(name)
        except InvalidAttribute as error:
            raise ValidationError(error.detail) from error
        return name


OWN = {"plan": "pro", "seats": 250, "regions": ["eu", "us"]}


@extend_schema_serializer(examples=[OpenApiExample("A customer", value={"attributes": OWN})])
class AllAttributes(WriteInput):
    """The body of PUT: all own attributes of the organization."""

    attributes = AttributeValues(help_text="The own attributes. Null ends what comes from above.")


@extend_schema_serializer(examples=[OpenApiExample("Another plan", value={"attributes": {"plan": "enterprise"}})])
class AttributeChanges(WriteInput):
    """The body of PATCH: some own attributes of the organization."""

    combinations: ClassVar = at_least_one("attributes", "remove")

    attributes = AttributeValues(required=False, default=dict, help_text="What to set; others stay as they are.")
    remove = serializers.ListField(
        child=AttributeName(),
        required=False,
        default=list,
        max_length=MAX_ATTRIBUTES,
        help_text="Own attributes to take away, so that what comes from above counts again.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not self.initial_data.keys() & {"attributes", "remove"}:
            raise ValidationError("Nothing to change: send attributes, remove or both.")
        both = sorted(set(attrs["remove"]) & set(attrs["attributes"]))
        if both:
            raise ValidationError({"remove": [f"{both[0]} is to be set too."]})
        return attrs


class InheritedAttributeSerializer(serializers.Serializer[InheritedAttribute]):
    """An attribute that comes from above."""

    name = serializers.CharField()
    value = HeldValue()
    sourceOrganizationId = serializers.IntegerField(source="source_id")
    sourceOrganizationKey = serializers.CharField(
        source="source_key", allow_null=True, help_text="Null: your key may not see this organization."
    )


INHERITED = {
    "name": "country", "value": "NO", "sourceOrganizationId": names.NORWAY_ID, "sourceOrganizationKey": names.NORWAY,
}  # fmt: skip
EXAMPLE = {
    "organizationId": names.OSLO_ID, "attributes": OWN, "inherited": [INHERITED],
    "effective": {"country": "NO", **OWN},
}  # fmt: skip


@extend_schema_serializer(examples=[OpenApiExample("A customer", value=EXAMPLE)])
class AttributesSerializer(serializers.Serializer[Attributes]):
    """The attributes of an organization: its own, and what comes from above."""

    organizationId = serializers.IntegerField(source="organization_id")
    attributes = AttributeValues(source="own", help_text="The own attributes. Null ends what comes from above.")
    inherited = InheritedAttributeSerializer(
        many=True, help_text="What comes from above, also where an own attribute hides it."
    )
    effective = HeldValues(source="held", help_text="What holds in the organization. Rules read it as `org.…`.")
