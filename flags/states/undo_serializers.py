"""Undos of changes in JSON."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.states.serializers import CHANGE_NUMBER
from flags.states.undo import Undone
from flagsite.core import example_names as names
from jobs.api.serializers import tracking_url

UNDONE = {
    "organizationId": names.NORWAY_ID,
    "featureFlag": names.SALE_FLAG,
    "changeNumber": 12,
    "restored": 3,
    "leftAlone": [names.OSLO_ID],
    "leftAloneCount": 1,
    "processedImmediately": False,
    "jobId": 5,
    "trackingUrl": "/job-status/5",
}


@extend_schema_serializer(component_name="Undone", examples=[OpenApiExample("A parent", value=UNDONE)])
class UndoneSerializer(serializers.Serializer[Undone]):
    """An accepted undo. It is a change of its own, and can be undone."""

    organizationId = serializers.IntegerField(source="accepted.change.organization_id")
    featureFlag = serializers.CharField(source="accepted.flag.key")
    changeNumber = serializers.IntegerField(source="accepted.change.number", help_text=CHANGE_NUMBER)
    restored = serializers.IntegerField(help_text="The number of settings that are as they were before the change.")
    leftAlone = serializers.ListField(
        source="left_alone",
        child=serializers.IntegerField(),
        help_text="Organizations whose settings were changed since, and stay as they are; 100 at most.",
    )
    leftAloneCount = serializers.IntegerField(
        source="left_alone_count", help_text="Their number, together with those that were moved away."
    )
    processedImmediately = serializers.SerializerMethodField()
    jobId = serializers.IntegerField(source="accepted.change.job_id", allow_null=True)
    trackingUrl = serializers.SerializerMethodField()

    def get_processedImmediately(self, undone: Undone) -> bool:  # noqa: N802 - the wire's name
        return undone.accepted.job is None

    def get_trackingUrl(self, undone: Undone) -> str | None:  # noqa: N802
        return tracking_url(undone.accepted.job.pk) if undone.accepted.job else None
