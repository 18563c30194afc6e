"""Lists of settings in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.states.listed_settings import LISTED_KINDS, ListedSetting
from flags.states.serializers import CHANGE_NUMBER
from flags.states.setting_serializers import BELOW, HERE, LOCKED
from flags.states.value_fields import ShownValueFields
from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInQuery

EXAMPLE = {
    "organizationId": names.OSLO_ID,
    "organizationKey": names.OSLO,
    "organizationName": "Oslo",
    "featureFlag": names.FLAG,
    **dict(LOCKED["setting"]),  # type: ignore[call-overload]  # a mapping of texts and numbers
    "decides": True,
    "exemptFrom": None,
    "exemptUntil": None,
}


class SettingFilters(QuerySerializer):
    """The filters of lists of settings."""

    kind = serializers.ChoiceField(
        LISTED_KINDS,
        required=False,
        help_text="Only sets, only locks, or only what is exempt from a lock, whatever is set there.",
    )


class SettingOfFlagFilters(SettingFilters):
    """The filters of the settings of a flag."""

    organizationId = ReferenceInQuery(
        source="organization", required=False, help_text=f"Only at and below this organization. {HOW_TO_NAME}"
    )


@extend_schema_serializer(component_name="ListedSetting", examples=[OpenApiExample("A lock", value=EXAMPLE)])
class ListedSettingSerializer(ShownValueFields):
    """A setting of a flag on an organization."""

    organizationId = serializers.IntegerField(source="organization.pk")
    organizationKey = serializers.CharField(source="organization.key")
    organizationName = serializers.CharField(source="organization.name")
    featureFlag = serializers.CharField(source="flag_key")
    kind = serializers.ChoiceField(
        LISTED_KINDS, help_text="`exempt`: exempt from a lock, and without a value of its own."
    )
    reach = serializers.SerializerMethodField(help_text="`here`: the value counts for this organization only.")
    changeNumber = serializers.IntegerField(source="setting.number", help_text=CHANGE_NUMBER)
    requestedBy = serializers.CharField(source="setting.requested_by")
    reason = serializers.CharField(source="setting.reason")
    createdAt = serializers.DateTimeField(source="setting.created_at")
    expiresAt = serializers.DateTimeField(source="setting.expires_at", allow_null=True)
    decides = serializers.BooleanField(
        help_text="Whether its value counts for its organization. False: a lock above masks it, or it has no value."
    )
    exemptFrom = serializers.IntegerField(
        source="exempt_from",
        allow_null=True,
        help_text="The organization from whose lock this one is exempt. Null: none, or your key does not see it.",
    )
    exemptUntil = serializers.DateTimeField(source="setting.exempt_until", allow_null=True)

    @extend_schema_field({"type": "string", "enum": [BELOW, HERE]})
    def get_reach(self, listed: ListedSetting) -> Any:
        return HERE if listed.setting.only_here else BELOW
