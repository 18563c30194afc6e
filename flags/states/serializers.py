"""Flag states in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.states.selectors import EffectiveState

ON = {"id": 3, "name": "new-checkout", "enabled": True, "organizationId": 4}
INHERITED = {
    "featureFlag": ON,
    "sourceOrganizationId": 1,
    "inherited": True,
    "jobId": 7,
    "updatedAt": "2026-11-23T09:59:47.790076Z",
}
WRITTEN = {
    "featureFlag": ON,
    "message": "Feature flag updated immediately",
    "processedImmediately": True,
    "jobId": None,
}
STARTED = {
    "message": "Background processing started for organization hierarchy",
    "processedImmediately": False,
    "jobId": 7,
    "trackingUrl": "/job-status/7",
    "organizationId": 1,
    "featureFlagName": "new-checkout",
    "enabled": True,
}


class FeatureFlagSerializer(serializers.Serializer[EffectiveState]):
    """A flag's value for one organization."""

    id = serializers.IntegerField(source="flag_id", help_text="The flag's id.")
    name = serializers.CharField(source="flag_key")
    enabled = serializers.BooleanField()
    organizationId = serializers.IntegerField(source="organization_id")


@extend_schema_serializer(examples=[OpenApiExample("Set above", value=INHERITED)])
class EffectiveStateSerializer(serializers.Serializer[EffectiveState]):
    """A flag's value for an organization, and the organization on which it was set."""

    featureFlag = FeatureFlagSerializer(source="*")
    sourceOrganizationId = serializers.IntegerField(
        source="source_organization_id",
        allow_null=True,
        help_text="The organization on which the value was set. The key may not see it. Null: nobody set it.",
    )
    inherited = serializers.BooleanField(help_text="Whether the value was set on an ancestor.")
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


@extend_schema_serializer(examples=[OpenApiExample("A parent", value=STARTED, status_codes=[202])])
class SetInBackgroundSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer for an organization with children."""

    message = serializers.CharField()
    processedImmediately = serializers.BooleanField()
    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField()
    organizationId = serializers.IntegerField()
    featureFlagName = serializers.CharField()
    enabled = serializers.BooleanField()
