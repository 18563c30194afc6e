"""The JSON of OpenFeature's manifest: flags with their type and the value that code falls back to."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.definitions import rules
from flags.definitions.models import FLAG_KEY, FLAG_KEY_PATTERN, Flag
from flags.manifest.default_values import default_value
from flags.values.types import TYPES
from flagsite.core import example_names as names
from flagsite.core.api.input import Text, WriteInput

VALUE = {
    "oneOf": [{"type": "boolean"}, {"type": "string"}, {"type": "number"}, {"type": "object"}],
    "description": "A value of the type.",
}
ENTRY = {
    "key": names.FLAG,
    "name": names.FLAG,
    "type": "boolean",
    "description": "The checkout in one step.",
    "defaultValue": False,
}


class ManifestFlagSerializer(serializers.Serializer[Flag]):
    """One flag of the manifest."""

    key = serializers.CharField()
    name = serializers.CharField(source="key", help_text="The key: flags of Flagsite have no other name.")
    type = serializers.ChoiceField(TYPES)
    description = serializers.CharField()
    defaultValue = serializers.SerializerMethodField(
        help_text="The default of a boolean flag, and the value of the default variant of another flag."
    )

    @extend_schema_field(VALUE)
    def get_defaultValue(self, flag: Flag) -> Any:  # noqa: N802 - the wire's name
        return default_value(flag)


@extend_schema_serializer(examples=[OpenApiExample("One flag", value={"flags": [ENTRY]})])
class ManifestSerializer(serializers.Serializer[dict[str, Any]]):
    """The manifest: all flags that are not archived."""

    flags = ManifestFlagSerializer(many=True)


@extend_schema_serializer(
    examples=[OpenApiExample("A flag", value={"flag": ENTRY, "updatedAt": "2026-11-23T09:59:47.723168Z"})]
)
class WrittenManifestFlagSerializer(serializers.Serializer[dict[str, Any]]):
    """A flag that was written, and the time of its last change."""

    flag = ManifestFlagSerializer()
    updatedAt = serializers.DateTimeField(source="flag.updated_at")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "An archived flag",
            value={
                "message": f"The flag '{names.FLAG}' is archived. Unarchive it with the command unarchive_flag.",
                "archivedAt": "2026-11-23T09:59:47.723168Z",
            },
        )
    ]
)
class ArchivedManifestFlagSerializer(serializers.Serializer[dict[str, Any]]):
    """A flag that is no longer in the manifest."""

    message = serializers.CharField()
    archivedAt = serializers.DateTimeField()


@extend_schema_field(VALUE)
class DefaultValue(serializers.Field[Any, Any, Any, Any]):
    """A value of the flag's type."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ManifestFlagInput(WriteInput):
    """A flag as the protocol writes it."""

    key = Text(max_length=255, validators=[FLAG_KEY], help_text=f"`{FLAG_KEY_PATTERN}`")
    type = serializers.ChoiceField(TYPES, help_text="The type of the values. It cannot be changed.")
    name = Text(required=False, max_length=255, help_text="The key, or left out: flags have no other name.")
    description = Text(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=rules.MAX_DESCRIPTION_LENGTH,
        trim_whitespace=False,
    )
    defaultValue = DefaultValue()

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse a name that Flagsite would lose."""
        if values.get("name", values["key"]) != values["key"]:
            raise serializers.ValidationError(
                {"name": ["Flags have no name beside their key. Leave the name out, or write it into the description."]}
            )
        return values


@extend_schema_serializer(
    examples=[OpenApiExample("A flag", value=ENTRY | {"key": "new-search", "name": "new-search"})]
)
class NewManifestFlag(ManifestFlagInput):
    """The body of POST."""


@extend_schema_serializer(examples=[OpenApiExample("A flag", value=ENTRY)])
class ChangedManifestFlag(ManifestFlagInput):
    """The body of PUT. A field that you leave out does not change."""

    defaultValue = DefaultValue(required=False)
