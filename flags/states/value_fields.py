"""Fields of serializers for the values of flags: any JSON, as the type of the flag allows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from flags.states.shown_values import ShownValue

VALUE = (
    "The value: true or false for a boolean flag. For a flag of another type, a custom value in place of a variant, "
    "which has to fit the type and the schema of the flag."
)
VARIANT = "The key of the variant."
ENABLED = "Whether the flag is on: with its default variant, or off with its off variant."


@extend_schema_field({})
class JsonValue(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value. Null too, as the type of the flag decides what is allowed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ShownValueFields(serializers.Serializer[ShownValue]):
    """A stored value with its variant, for serializers whose objects have it as `shown`."""

    enabled = serializers.BooleanField(
        source="shown.enabled", allow_null=True, help_text="Whether the flag is on. Null: nothing is set."
    )
    variant = serializers.CharField(
        source="shown.variant",
        allow_null=True,
        help_text="The key of the variant, `custom` for a custom value. Null: there is none.",
    )
    value = JsonValue(
        source="shown.value", help_text="What the variant has: true or false for a boolean flag. Null: there is none."
    )
