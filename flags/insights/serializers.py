"""A flag's adoption in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.insights.adoption import Adoption, Share
from flags.insights.staleness import STALE_CAUSE_CHOICES, StaleReason
from flags.insights.usage_store import Usage
from flags.insights.variant_shares import VariantShare
from flags.states.serializers import OFF_FOR_EVERYBODY, OFF_RULES
from flagsite.core import example_names as names
from flagsite.core.api.input import IdInQuery, QuerySerializer
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInQuery

TOO_MANY = "Null if the subtree has too many organizations to count in a request. Read smaller subtrees then."
ON = f"0 if the flag is off for everybody, else the same as `organizationsStoredOn`. {TOO_MANY}"
STORED_ON = "The number of organizations with the stored value on."
STORED_OFF = "The number of organizations with the stored value off."
VARIANTS = (
    "The number of organizations with each variant of the definition, by their stored values; custom values and no "
    "value follow if there are any. Empty for a boolean flag, for which on and off say the same."
)
NORWAY = {
    "organizationId": names.NORWAY_ID, "key": names.NORWAY, "name": "Norway", "hasChildren": True,
    "organizationsOn": 10, "organizationsOff": 2, "organizationsStoredOn": 10, "organizationsStoredOff": 2,
    "variants": [],
    "evaluations": {
        "byName": 120, "lastByNameAt": "2026-11-23T09:59:00.000000Z",
        "withAll": 9, "lastWithAllAt": "2026-11-23T09:58:00.000000Z",
    },
    "lastEvaluatedAt": "2026-11-23T09:59:00.000000Z",
}  # fmt: skip
EXAMPLE = {
    "name": names.FLAG, "organizationId": None, "organizationsOn": 5258, "organizationsOff": 12,
    "organizationsStoredOn": 5258, "organizationsStoredOff": 12, "offForEverybody": None, "organizationsUnset": 0,
    "variants": [],
    "countedAt": "2026-11-23T09:00:00.000000Z",
    "holdOuts": "on for 99 %, off for 12 under 2 parents (Norway, Denmark)",
    "evaluations": NORWAY["evaluations"], "lastEvaluatedAt": NORWAY["lastEvaluatedAt"],
    "stale": True, "reasons": [{"reason": "expired", "detail": "The flag expired on 2026-10-31."}],
    "below": [NORWAY], "moreAfter": None,
}  # fmt: skip


class AdoptionQuery(QuerySerializer):
    """The query of GET /v1/feature-flags/{name}/adoption."""

    organizationId = ReferenceInQuery(
        source="organization",
        required=False,
        help_text=f"The subtree of this organization. {HOW_TO_NAME} Default: all organizations that the key sees.",
    )
    after = IdInQuery(
        source="after_id",
        help_text="`moreAfter` of the previous page.",
    )


class EvaluationsSerializer(serializers.Serializer[Usage]):
    """The usage of a flag, which is about a minute old."""

    byName = serializers.IntegerField(source="by_name.evaluations", help_text="Evaluations of this flag by its name.")
    lastByNameAt = serializers.DateTimeField(source="by_name.last", allow_null=True)
    withAll = serializers.IntegerField(
        source="with_all.evaluations",
        help_text=(
            "Evaluations of all flags at once, which count for every flag. The number is 0 until somebody evaluates "
            "all flags after this flag was created. From then on it includes the evaluations before that."
        ),
    )
    lastWithAllAt = serializers.DateTimeField(source="with_all.last", allow_null=True)


class StaleReasonSerializer(serializers.Serializer[StaleReason]):
    """Why a flag is stale."""

    reason = serializers.ChoiceField(STALE_CAUSE_CHOICES, source="cause")
    detail = serializers.CharField(source="words")


class VariantShareSerializer(serializers.Serializer[VariantShare]):
    """How many organizations have one variant."""

    variant = serializers.CharField(
        allow_null=True, help_text="The key of the variant, `custom` for all custom values. Null: there is no value."
    )
    organizations = serializers.IntegerField()


class ShareSerializer(serializers.Serializer[Share]):
    """An organization with the figures of its subtree."""

    organizationId = serializers.IntegerField(source="organization.pk")
    key = serializers.CharField(source="organization.key")
    name = serializers.CharField(source="organization.name")
    hasChildren = serializers.BooleanField(source="organization.has_children")
    organizationsOn = serializers.IntegerField(source="on", allow_null=True, help_text=TOO_MANY)
    organizationsOff = serializers.IntegerField(source="off", allow_null=True, help_text=TOO_MANY)
    organizationsStoredOn = serializers.IntegerField(source="stored_on", allow_null=True, help_text=STORED_ON)
    organizationsStoredOff = serializers.IntegerField(source="stored_off", allow_null=True, help_text=STORED_OFF)
    variants = VariantShareSerializer(many=True, help_text=VARIANTS)
    evaluations = EvaluationsSerializer(source="usage", allow_null=True)
    lastEvaluatedAt = serializers.DateTimeField(source="usage.last", allow_null=True, default=None)


@dataclass(frozen=True, slots=True)
class AdoptionPage:
    """A flag's adoption, one page of children with their figures, and whether more children follow."""

    adoption: Adoption
    shares: Sequence[Share]
    more: bool


@extend_schema_serializer(examples=[OpenApiExample("A flag that some have not got yet", value=EXAMPLE)])
class AdoptionSerializer(serializers.Serializer[AdoptionPage]):
    """The adoption of a flag."""

    name = serializers.CharField(source="adoption.flag.key")
    organizationId = serializers.IntegerField(
        source="adoption.organization.pk", allow_null=True, default=None, help_text="Null: all organizations."
    )
    organizationsOn = serializers.IntegerField(source="adoption.on", allow_null=True, help_text=ON)
    organizationsOff = serializers.IntegerField(source="adoption.off", allow_null=True)
    organizationsStoredOn = serializers.IntegerField(
        source="adoption.counts.organizations_on", allow_null=True, default=None, help_text=STORED_ON
    )
    organizationsStoredOff = serializers.IntegerField(
        source="adoption.counts.organizations_off", allow_null=True, default=None, help_text=STORED_OFF
    )
    offForEverybody = serializers.ChoiceField(
        OFF_RULES,
        source="adoption.off_for_everybody.rule",
        allow_null=True,
        default=None,
        help_text=OFF_FOR_EVERYBODY,
    )
    organizationsUnset = serializers.IntegerField(
        source="adoption.counts.unset",
        allow_null=True,
        default=None,
        help_text="The number of these organizations that have the flag's default.",
    )
    variants = VariantShareSerializer(source="adoption.variants", many=True, allow_null=True, help_text=VARIANTS)
    countedAt = serializers.DateTimeField(
        source="adoption.counts.counted_at",
        allow_null=True,
        default=None,
        help_text="The time of the count. All organizations are counted once an hour.",
    )
    holdOuts = serializers.CharField(
        source="adoption.minority",
        help_text="The organizations whose value differs from most. Empty if all have the same value.",
    )
    evaluations = EvaluationsSerializer(source="adoption.usage", allow_null=True)
    lastEvaluatedAt = serializers.DateTimeField(source="adoption.usage.last", allow_null=True, default=None)
    stale = serializers.BooleanField(
        source="adoption.flag.is_stale", help_text="Whether the flag should be removed from the code."
    )
    reasons = StaleReasonSerializer(source="adoption.reasons", many=True)
    below = ShareSerializer(source="shares", many=True, help_text="The children of the organization, by name.")
    moreAfter = serializers.SerializerMethodField(
        help_text="Send it as `after` to read the next page. Null: there is none."
    )

    @extend_schema_field({"type": ["integer", "null"]})
    def get_moreAfter(self, page: AdoptionPage) -> Any:  # noqa: N802
        """Return the id of the page's last organization if more follow."""
        return page.shares[-1].organization.pk if page.more else None
