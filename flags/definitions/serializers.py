"""Definitions in JSON: the bodies of requests and of answers, derived from the field specs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.definitions.fields import FIELDS, as_json, values_of
from flags.definitions.models import FLAG_KEY, FLAG_KEY_PATTERN, Flag
from flagsite.core.api.input import InputSerializer, QuerySerializer, Text

GIVEN = {"name": "new-checkout", **{spec.wire_name: spec.example for spec in FIELDS.values()}}
SHOWN = GIVEN | {
    "version": 3,
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "createdBy": "key:4fG6aB deploys",
    "updatedAt": "2026-11-23T10:12:03.104822Z",
    "updatedBy": "user:alice",
}
STARTED = {"jobId": 7, "trackingUrl": "/job-status/7", "message": "The flag and its states are being deleted"}


class DefinitionInput(InputSerializer):
    """The definition fields that a client writes; it may send back what else it has read, and that changes nothing.

    No field has a default here: what is absent is for the subclass to decide.
    """

    version = serializers.IntegerField(read_only=True)
    createdAt = serializers.DateTimeField(read_only=True)
    createdBy = serializers.CharField(read_only=True)
    updatedAt = serializers.DateTimeField(read_only=True)
    updatedBy = serializers.CharField(read_only=True)

    def get_fields(self) -> dict[str, Any]:
        return {**{spec.wire_name: spec.input_field() for spec in FIELDS.values()}, **super().get_fields()}


@extend_schema_serializer(examples=[OpenApiExample("A rollout", value=GIVEN)])
class NewDefinition(DefinitionInput):
    """The body of POST /v1/feature-flags."""

    name = Text(
        max_length=255,
        trim_whitespace=False,
        validators=[FLAG_KEY],
        help_text="Its key in your code; it cannot be changed.",
    )


class NamedDefinition(DefinitionInput):
    """A definition whose name is in the path; the body may repeat it."""

    name = Text(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="As in the path; a flag's name cannot be changed.",
    )


@extend_schema_serializer(examples=[OpenApiExample("A rollout", value=GIVEN)])
class WholeDefinition(NamedDefinition):
    """The body of PUT /v1/feature-flags/{name}: what is absent gets its default, but for `KEPT`."""

    KEPT = frozenset(name for name, spec in FIELDS.items() if spec.is_kept_by_put)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        defaults = {name: spec.default for name, spec in FIELDS.items() if name not in self.KEPT}
        return defaults | super().validate(attrs)


@extend_schema_serializer(
    examples=[
        OpenApiExample("More users", value={"rolloutPercentage": 25}),
        OpenApiExample("Off for everybody", value={"killed": True}),
    ]
)
class DefinitionChanges(NamedDefinition):
    """The body of PATCH /v1/feature-flags/{name}: what is absent stays."""


class DefinitionFilters(QuerySerializer):
    """The query of GET /v1/feature-flags; all that is given has to match."""

    tag = serializers.CharField(required=False, max_length=64, trim_whitespace=False, help_text="Has this tag.")
    owner = serializers.CharField(required=False, max_length=200, trim_whitespace=False, help_text="Exactly this one.")
    kind = serializers.ChoiceField(Flag.Kind.choices, required=False)
    archived = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="`true`: the archived ones, and no others."
    )
    stale = serializers.ChoiceField(
        ["true", "false"], required=False, help_text="`true`: those that should go; see docs/lifetimes.md."
    )
    search = serializers.CharField(
        required=False, max_length=255, trim_whitespace=False, help_text="Part of name or description, in any case."
    )


class EndOptions(QuerySerializer):
    """The query of DELETE /v1/feature-flags/{name}."""

    purge = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="Delete the flag with all its states, for good."
    )

    def validate_purge(self, value: str) -> bool:
        return value == "true"


@extend_schema_serializer(examples=[OpenApiExample("A rollout", value=SHOWN)])
class DefinitionSerializer(serializers.Serializer[Flag]):
    """A definition as it is answered; the context says whether the caller may see `personal` data."""

    name = serializers.RegexField(f"^{FLAG_KEY_PATTERN}$")
    version = serializers.IntegerField(help_text="Grows with each change.")
    createdAt = serializers.DateTimeField()
    createdBy = serializers.CharField()
    updatedAt = serializers.DateTimeField()
    updatedBy = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        others = super().get_fields()
        name = others.pop("name")
        return {"name": name, **{spec.wire_name: spec.output_field() for spec in FIELDS.values()}, **others}

    def to_representation(self, flag: Flag) -> dict[str, Any]:
        return {
            "name": flag.key,
            **as_json(values_of(flag), is_bound=not self.context["personal"]),
            "version": flag.version,
            "createdAt": flag.created_at,
            "createdBy": flag.created_by,
            "updatedAt": flag.updated_at,
            "updatedBy": flag.updated_by,
        }


@extend_schema_serializer(examples=[OpenApiExample("A purge", value=STARTED, status_codes=[202])])
class PurgeStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of DELETE with `purge=true`."""

    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField()
    message = serializers.CharField()
