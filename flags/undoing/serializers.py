"""Undos of changes, and their plans, in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.states.serializers import CHANGE_NUMBER
from flags.undoing.undone import KINDS, SETTING, Restored, Undone, UndoPlan
from flagsite.core import example_names as names
from flagsite.core.api.agreed_serializers import AgreedInput
from jobs.api.serializers import tracking_url

UNDONE = {
    "kind": SETTING,
    "organizationId": names.NORWAY_ID,
    "featureFlag": names.SALE_FLAG,
    "segment": None,
    "changeNumber": 12,
    "restored": 3,
    "leftAlone": [names.OSLO_ID],
    "leftAloneFields": [],
    "leftAloneCount": 1,
    "processedImmediately": False,
    "jobId": 5,
    "trackingUrl": "/job-status/5",
}
PLANNED = {
    "kind": SETTING,
    "organizationId": names.NORWAY_ID,
    "featureFlag": names.SALE_FLAG,
    "segment": None,
    "organizations": 42,
    "changed": 30,
    "unchanged": 12,
    "isEstimate": False,
    "restored": 1,
    "restores": [
        {
            "organizationId": names.NORWAY_ID,
            "field": None,
            "before": {"kind": "set", "value": True, "reach": "below"},
            "after": None,
        },
    ],
    "leftAlone": [names.OSLO_ID],
    "leftAloneFields": [],
    "leftAloneCount": 1,
    "askedLast7Days": 18,
    "jobsUnderWay": [],
    "planHash": "11-42-3-0f343b0931126a20f133d67c2b018a3b",
}  # fmt: skip
KIND = "What the change has changed: settings of a flag, a definition, a segment, or the place of an organization."


@extend_schema_serializer(
    component_name="UndoInput", examples=[OpenApiExample("An undo", value={"reason": "The wrong region."})]
)
class UndoInput(AgreedInput):
    """The reason of an undo, and what its author knows of the effect."""


class UndoneChangeSerializer(serializers.Serializer[Any]):
    """What every answer about an undo has."""

    kind = serializers.ChoiceField(KINDS, source="undone.kind", help_text=KIND)
    organizationId = serializers.IntegerField(
        source="undone.organization_id",
        allow_null=True,
        help_text="Null: the change concerns no organization.",
    )
    featureFlag = serializers.CharField(
        source="undone.flag_key", allow_null=True, help_text="Null: the change is a move, or concerns a segment."
    )
    segment = serializers.CharField(
        source="undone.segment_key", allow_null=True, help_text="Null: the change concerns something else."
    )
    restored = serializers.IntegerField(
        help_text="The number of settings, fields or places that are as they were before the change."
    )
    leftAlone = serializers.ListField(
        source="left_alone.organization_ids",
        child=serializers.IntegerField(),
        help_text="Organizations whose settings were changed since, and stay as they are; 100 at most.",
    )
    leftAloneFields = serializers.ListField(
        source="left_alone.fields",
        child=serializers.CharField(),
        help_text="Fields of the definition or segment that were changed since, and stay as they are.",
    )
    leftAloneCount = serializers.IntegerField(
        source="left_alone.count",
        help_text="Their number, together with organizations that were moved away.",
    )


@extend_schema_serializer(component_name="Undone", examples=[OpenApiExample("A parent", value=UNDONE)])
class UndoneSerializer(UndoneChangeSerializer):
    """An accepted undo. It is a change of its own, and can be undone."""

    changeNumber = serializers.IntegerField(
        source="number", allow_null=True, help_text=f"{CHANGE_NUMBER} Null: a job makes the change."
    )
    processedImmediately = serializers.SerializerMethodField()
    jobId = serializers.SerializerMethodField(help_text="The job that carries the change down, or makes it.")
    trackingUrl = serializers.SerializerMethodField()

    def get_processedImmediately(self, undone: Undone) -> bool:  # noqa: N802 - the wire's name
        return undone.job is None

    def get_jobId(self, undone: Undone) -> int | None:  # noqa: N802
        return undone.job.pk if undone.job else None

    def get_trackingUrl(self, undone: Undone) -> str | None:  # noqa: N802
        return tracking_url(undone.job.pk) if undone.job else None


class RestoredSerializer(serializers.Serializer[Restored]):
    """What an undo restores: a setting, a field of a definition or segment, or the parent of an organization."""

    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    field = serializers.CharField(allow_null=True, help_text="The field of the definition or segment.")
    before = serializers.JSONField(help_text="The value now. Null: nothing is set.")
    after = serializers.JSONField(help_text="The value after the undo.")


@extend_schema_serializer(component_name="UndoPlan", examples=[OpenApiExample("A set", value=PLANNED)])
class UndoPlanSerializer(UndoneChangeSerializer):
    """What an undo would do. Nothing was written. The context has `figures`."""

    organizations = serializers.IntegerField(help_text="The organizations that the change concerns.")
    changed = serializers.IntegerField(help_text="Those that would get another value.")
    unchanged = serializers.IntegerField()
    isEstimate = serializers.BooleanField(
        source="is_estimate", help_text="`changed` is an estimate, as in the plan of a definition."
    )
    restores = RestoredSerializer(many=True, help_text="What the undo restores; 100 at most.")
    askedLast7Days = serializers.SerializerMethodField(
        help_text="How many of the organizations that would get another value have asked for the flag in the last 7 "
        "days. Null: there is too much to count, or the change is a move or concerns a segment."
    )
    jobsUnderWay = serializers.SerializerMethodField(
        help_text="Open jobs that touch these organizations and flags, of which your key sees the organizations."
    )
    planHash = serializers.CharField(
        source="effect.hash", help_text="Send it with the undo, so that nothing else happens."
    )

    def get_askedLast7Days(self, plan: UndoPlan) -> int | None:  # noqa: N802 - the wire's name
        flag = plan.undone.flag
        asked: int | None = self.context["figures"].asked_for(flag.pk) if flag else None
        return asked

    def get_jobsUnderWay(self, _: UndoPlan) -> list[int]:  # noqa: N802
        return list(self.context["figures"].jobs)
