"""Definitions on the wire: what comes in, what goes out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.definitions import rules
from flags.definitions.fields import as_json, parts_of
from flags.definitions.models import FLAG_KEY, FLAG_KEY_PATTERN, Flag
from flags.evaluation.rollout import HASHES
from flagsite.core.api.input import InputSerializer, QuerySerializer, Text

GIVEN = {
    "name": "new-checkout",
    "description": "The checkout in one step.",
    "enabled": True,
    "rolloutPercentage": 12.5,
    "rolloutUnit": "targetingKey",
    "rolloutLevel": None,
    "salt": "5f0c2ab1",
    "hashVersion": 1,
    "userWhitelist": ["user-17"],
    "environments": {"staging": True},
    "prerequisites": ["new-basket"],
    "owner": "team checkout",
    "tags": ["checkout", "q4"],
    "kind": "release",
    "expiresOn": "2027-03-31",
    "killed": False,
    "archived": False,
}
SHOWN = GIVEN | {
    "version": 3,
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "createdBy": "key:4fG6aB deploys",
    "updatedAt": "2026-11-23T10:12:03.104822Z",
    "updatedBy": "user:alice",
}
STARTED = {"jobId": 7, "trackingUrl": "/job-status/7", "message": "The flag and its states are being deleted"}


@extend_schema_field({"type": "boolean"})
class TrueOrFalse(serializers.Field[bool, Any, bool, Any]):
    """A JSON boolean; neither words nor numbers are taken for one."""

    def to_internal_value(self, data: Any) -> bool:
        rules.true_or_false(data)
        return bool(data)

    def to_representation(self, value: bool) -> bool:
        return value


class Whole(serializers.IntegerField):
    """A JSON whole number; strings and fractions are not taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001})
class Percentage(serializers.Field[Decimal, Any, float, Any]):
    """A JSON number from 0 to 100 with at most three decimals."""

    def to_internal_value(self, data: Any) -> Decimal:
        rules.percentage(data)
        return Decimal(str(data))

    def to_representation(self, value: Decimal) -> float:
        return float(value)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "boolean"}})
class Environments(serializers.Field[dict[str, bool], Any, dict[str, bool], Any]):
    """A JSON object from environments' names to booleans."""

    def to_internal_value(self, data: Any) -> dict[str, bool]:
        rules.environments(data)
        return dict(data)

    def to_representation(self, value: dict[str, bool]) -> dict[str, bool]:
        return value


class DistinctTexts(serializers.ListField):
    """A JSON array of strings; what is in it twice counts once."""

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))


class DefinitionInput(InputSerializer):
    """The parts of a definition that a client writes; what it read besides it may send back, and that changes nothing.

    No part has a default here: what is absent is for the caller to decide.
    """

    description = Text(required=False, allow_blank=True, max_length=rules.LONGEST_DESCRIPTION)
    enabled = TrueOrFalse(required=False, help_text="The value for organizations where nobody set the flag.")
    rolloutPercentage = Percentage(
        source="rollout_percentage", required=False, allow_null=True, help_text="Null is 100; up to three decimals."
    )
    rolloutUnit = serializers.ChoiceField(
        Flag.Unit.choices, source="rollout_unit", required=False, help_text="What the percentage counts."
    )
    rolloutLevel = Whole(
        source="rollout_level",
        required=False,
        allow_null=True,
        min_value=0,
        max_value=rules.DEEPEST_LEVEL,
        help_text="Of the ancestor that counts, 0 is the root; with the unit `ancestor` only.",
    )
    salt = Text(
        required=False,
        allow_blank=True,  # flags from before there were salts have that, and may be sent back
        max_length=64,
        trim_whitespace=False,
        help_text="Made up if you give none; another one picks other users.",
    )
    hashVersion = Whole(
        source="hash_version",
        required=False,
        min_value=min(HASHES),
        max_value=max(HASHES),
        help_text="The formula of the buckets.",
    )
    userWhitelist = DistinctTexts(
        source="whitelist",
        required=False,
        child=Text(max_length=rules.LONGEST_TARGETING_KEY, trim_whitespace=False),
        max_length=rules.MOST_LISTED,
        help_text="Targeting keys that always have it.",
    )
    environments = Environments(required=False, help_text="Forces it on or off in an environment.")
    prerequisites = DistinctTexts(
        required=False,
        child=Text(max_length=255, trim_whitespace=False, validators=[FLAG_KEY]),
        max_length=100,
        help_text="Names of flags that must be on.",
    )
    owner = Text(required=False, allow_blank=True, max_length=200)
    tags = DistinctTexts(required=False, child=Text(max_length=rules.LONGEST_TAG), max_length=rules.MOST_TAGS)
    kind = serializers.ChoiceField(Flag.Kind.choices, required=False)
    expiresOn = serializers.DateField(
        source="expires_on", required=False, allow_null=True, help_text="When it should be gone from the code."
    )
    killed = TrueOrFalse(required=False, help_text="Off for everybody, whatever else is set.")
    archived = TrueOrFalse(required=False, help_text="Off for everybody, out of the lists, and cannot be set.")
    version = serializers.IntegerField(read_only=True)
    createdAt = serializers.DateTimeField(read_only=True)
    createdBy = serializers.CharField(read_only=True)
    updatedAt = serializers.DateTimeField(read_only=True)
    updatedBy = serializers.CharField(read_only=True)


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

    DEFAULTS = {
        "description": "", "enabled": False, "rollout_percentage": None, "rollout_unit": Flag.Unit.TARGETING_KEY,
        "rollout_level": None, "whitelist": [], "environments": {}, "prerequisites": [], "owner": "", "tags": [],
        "kind": Flag.Kind.RELEASE, "expires_on": None,
    }  # fmt: skip
    KEPT = frozenset({"salt", "hash_version", "killed", "archived"})
    """A client that does not know of these must not switch users round, nor a killed flag on."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return self.DEFAULTS | super().validate(attrs)


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
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    rolloutPercentage = serializers.FloatField(allow_null=True)
    rolloutUnit = serializers.ChoiceField(Flag.Unit.choices)
    rolloutLevel = serializers.IntegerField(allow_null=True)
    salt = serializers.CharField()
    hashVersion = serializers.IntegerField()
    userWhitelist = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Null for keys that are bound to an organization."
    )
    environments = Environments()
    prerequisites = serializers.ListField(child=serializers.CharField())
    owner = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    kind = serializers.ChoiceField(Flag.Kind.choices)
    expiresOn = serializers.DateField(allow_null=True)
    killed = serializers.BooleanField()
    archived = serializers.BooleanField()
    version = serializers.IntegerField(help_text="Grows with each change.")
    createdAt = serializers.DateTimeField()
    createdBy = serializers.CharField()
    updatedAt = serializers.DateTimeField()
    updatedBy = serializers.CharField()

    def to_representation(self, flag: Flag) -> dict[str, Any]:
        shown = {
            "name": flag.key,
            **as_json(parts_of(flag)),
            "version": flag.version,
            "createdAt": flag.created_at,
            "createdBy": flag.created_by,
            "updatedAt": flag.updated_at,
            "updatedBy": flag.updated_by,
        }
        if not self.context["personal"]:
            shown["userWhitelist"] = None
        return shown


@extend_schema_serializer(examples=[OpenApiExample("A purge", value=STARTED, status_codes=[202])])
class PurgeStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of DELETE with `purge=true`."""

    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField()
    message = serializers.CharField()
