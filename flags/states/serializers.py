"""Flag states in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.evaluation.reasons import REASON_CHOICES, Rule
from flags.states.selectors import EffectiveState
from flags.states.value_fields import JsonValue
from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer

ON = {
    "id": names.FLAG_ID,
    "name": names.FLAG,
    "enabled": True,
    "organizationId": names.OSLO_ID,
    "storedValue": True,
    "reason": "TARGETING_MATCH",
    "rule": "organization",
    "dependsOnUser": False,
    "rolloutPercentage": None,
}
KILLED = ON | {"enabled": False, "reason": "DISABLED", "rule": "killed"}
IN_ROLLOUT = ON | {"reason": "SPLIT", "rule": "rollout", "dependsOnUser": True, "rolloutPercentage": 25.0}
INHERITED = {
    "featureFlag": ON,
    "sourceOrganizationId": names.ROOT_ID,
    "inherited": True,
    "jobId": 5,
    "updatedAt": "2026-11-23T09:59:47.790076Z",
}
WRITTEN = {
    "featureFlag": ON,
    "message": "Feature flag updated immediately",
    "processedImmediately": True,
    "jobId": None,
    "changeNumber": 12,
    "created": False,
}
STARTED = {
    "message": "Background processing started for organization hierarchy",
    "processedImmediately": False,
    "jobId": 5,
    "trackingUrl": "/job-status/5",
    "organizationId": names.ROOT_ID,
    "featureFlagName": names.FLAG,
    "enabled": True,
    "offForEverybody": None,
    "changeNumber": 12,
    "created": False,
}
OFF_RULES = [Rule.ARCHIVED.value, Rule.KILLED.value, Rule.PREREQUISITE.value]
OFF_FOR_EVERYBODY = "The rule by which the flag is off for everybody, whatever its stored values are, or null."
CREATED = "Whether this request defined the flag, because no flag had this name."
CHANGE_NUMBER = "The number of this change. The change with the highest number wins."


class ReadOptions(QuerySerializer):
    """The query of reads of flags."""

    environment = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=2_000,
        help_text="The environment, for environment overrides. Default: none, so no override counts.",
    )


class FeatureFlagSerializer(serializers.Serializer[EffectiveState]):
    """A flag's value for one organization."""

    id = serializers.IntegerField(source="flag_id", help_text="The flag's id.")
    name = serializers.CharField(source="flag_key")
    enabled = serializers.BooleanField(
        help_text="The effective value: off if the flag is archived or killed, or if a prerequisite is off."
    )
    organizationId = serializers.IntegerField(source="organization_id")
    variant = serializers.CharField(
        source="serves.variant",
        required=False,
        help_text="Of a flag that is not boolean: the key of the variant, `custom` for a custom value, or empty.",
    )
    value = JsonValue(
        source="serves.value",
        required=False,
        help_text="Of a flag that is not boolean: the value of the variant. Null: there is none.",
    )
    storedValue = serializers.BooleanField(
        source="stored_value",
        help_text="The value that was set on this organization or above it, or else the flag's default.",
    )
    reason = serializers.ChoiceField(
        REASON_CHOICES, source="value.reason", help_text="The reason for `enabled`, as OpenFeature names it."
    )
    rule = serializers.ChoiceField(list(Rule), source="value.rule", help_text="The rule that decided `enabled`.")
    dependsOnUser = serializers.BooleanField(
        source="value.depends_on_user",
        help_text="Whether users can get different values, by a rollout or a whitelist. Then evaluate the flag.",
    )
    rolloutPercentage = serializers.FloatField(
        source="value.rollout_percentage",
        allow_null=True,
        help_text="The percentage of users for whom the rollout turns the flag on. Null: no rollout of users decides.",
    )

    def to_representation(self, instance: EffectiveState) -> dict[str, Any]:
        document = super().to_representation(instance)
        if instance.serves is None:  # the answer for a boolean flag stays as it was before there were others
            document.pop("variant", None)
            document.pop("value", None)
        return document


@extend_schema_serializer(
    examples=[
        OpenApiExample("Set above", value=INHERITED),
        OpenApiExample("Killed", value=INHERITED | {"featureFlag": KILLED}),
        OpenApiExample("In a rollout", value=INHERITED | {"featureFlag": IN_ROLLOUT}),
    ]
)
class EffectiveStateSerializer(serializers.Serializer[EffectiveState]):
    """A flag's value for an organization, and the organization on which its stored value was set."""

    featureFlag = FeatureFlagSerializer(source="*")
    sourceOrganizationId = serializers.IntegerField(
        source="source_organization_id",
        allow_null=True,
        help_text="The organization on which the stored value was set. The key may not see it. Null: nobody set it.",
    )
    inherited = serializers.BooleanField(help_text="Whether the stored value was set on an ancestor.")
    jobId = serializers.IntegerField(
        source="job_id", allow_null=True, help_text="The job that wrote the value. Null if no job was necessary."
    )
    updatedAt = serializers.DateTimeField(source="updated_at", allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("A leaf", value=WRITTEN)])
class SetImmediatelySerializer(serializers.Serializer[dict[str, Any]]):
    """The answer for an organization without children."""

    featureFlag = FeatureFlagSerializer()
    message = serializers.CharField()
    processedImmediately = serializers.BooleanField()
    jobId = serializers.IntegerField(allow_null=True)
    changeNumber = serializers.IntegerField(help_text=CHANGE_NUMBER)
    created = serializers.BooleanField(help_text=CREATED)


@extend_schema_serializer(examples=[OpenApiExample("A parent", value=STARTED, status_codes=[202])])
class SetInBackgroundSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer for an organization with children."""

    message = serializers.CharField()
    processedImmediately = serializers.BooleanField()
    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField()
    organizationId = serializers.IntegerField()
    featureFlagName = serializers.CharField()
    enabled = serializers.BooleanField(help_text="The stored value that the job writes.")
    offForEverybody = serializers.ChoiceField(OFF_RULES, allow_null=True, help_text=OFF_FOR_EVERYBODY)
    changeNumber = serializers.IntegerField(help_text=CHANGE_NUMBER)
    created = serializers.BooleanField(help_text=CREATED)
