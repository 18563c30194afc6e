"""Segments in JSON: the bodies of requests and answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.definitions import rules as limits
from flags.definitions.json_fields import DistinctTexts, TargetingRules, Texts
from flags.definitions.serializers import FieldChangeSerializer
from flags.segments.fields import FIELDS, default_of
from flags.segments.models import SEGMENT_KEY, SEGMENT_KEY_PATTERN, Segment
from flags.segments.segment_plan import SegmentPlan
from flags.segments.uses import Uses, UsingFlag, UsingSegment
from flags.targeting.checks import checked_segment_rules
from flags.targeting.rules_schema import EXAMPLE_OF_SEGMENT_RULES, SEGMENT_RULES_SCHEMA
from flagsite.core import example_names as names
from flagsite.core.api.agreed_serializers import AgreedInput
from flagsite.core.api.input import QuerySerializer, Text, WriteInput

INPUT_EXAMPLE = {
    "key": names.SEGMENT,
    "description": "Who tries new things first.",
    "rules": EXAMPLE_OF_SEGMENT_RULES,
    "included": [names.USER],
    "excluded": [],
    "owner": "team checkout",
    "tags": ["q4"],
}
OUTPUT_EXAMPLE = INPUT_EXAMPLE | {
    "version": 3,
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "createdBy": names.KEY_ACTOR,
    "updatedAt": "2026-11-23T10:12:03.104822Z",
    "updatedBy": f"user:{names.PERSON}",
}
PLAN_EXAMPLE = {
    "organizations": 42,
    "changed": 42,
    "unchanged": 0,
    "isEstimate": True,
    "changes": [{"field": "included", "before": [], "after": [names.USER]}],
    "flags": [names.FLAG],
    "segments": [],
    "neededBy": [names.BASKET_FLAG],
    "keysAdded": 1,
    "keysRemoved": 0,
    "planHash": "3-0f343b0931126a20f133d67c2b018a3b",
}
USES_EXAMPLE = {
    "flags": [{"name": names.FLAG, "archived": False, "through": []}],
    "segments": [],
    "schedules": [],
}
RULES = "Rules of clauses, as in targeting rules, without `serve`. Whoever one of them matches is in the segment."
INCLUDED = "Targeting keys that are in the segment, whatever else says. They beat `excluded`."
EXCLUDED = "Targeting keys that are not in the segment, even where a rule matches."


@extend_schema_field(SEGMENT_RULES_SCHEMA)
class SegmentRules(TargetingRules):
    """A JSON array of rules of a segment."""

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        return checked_segment_rules(data)


def _keys(help_text: str) -> DistinctTexts:
    child = Text(max_length=limits.MAX_TARGETING_KEY_LENGTH, trim_whitespace=False)
    return DistinctTexts(child=child, max_length=limits.MAX_WHITELIST_SIZE, required=False, help_text=help_text)


class SegmentInput(WriteInput):
    """The fields that a client writes. It may also send back the read-only fields, which change nothing."""

    description = Text(required=False, allow_blank=True, max_length=limits.MAX_DESCRIPTION_LENGTH)
    rules = SegmentRules(required=False, help_text=RULES)
    included = _keys(INCLUDED)
    excluded = _keys(EXCLUDED)
    owner = Text(required=False, allow_blank=True, max_length=200)
    tags = DistinctTexts(child=Text(max_length=limits.MAX_TAG_LENGTH), max_length=limits.MAX_TAGS, required=False)
    version = serializers.IntegerField(read_only=True)
    createdAt = serializers.DateTimeField(read_only=True)
    createdBy = serializers.CharField(read_only=True)
    updatedAt = serializers.DateTimeField(read_only=True)
    updatedBy = serializers.CharField(read_only=True)


@extend_schema_serializer(examples=[OpenApiExample("Testers", value=INPUT_EXAMPLE | {"key": names.NEW_SEGMENT})])
class NewSegment(SegmentInput):
    """The body of POST /v1/segments."""

    key = Text(max_length=100, trim_whitespace=False, validators=[SEGMENT_KEY], help_text="It cannot be changed.")


class KeyedSegment(AgreedInput, SegmentInput):
    """A segment whose key is in the path; the body may repeat it."""

    key = Text(required=False, max_length=100, trim_whitespace=False, help_text="The same key as in the path.")


@extend_schema_serializer(examples=[OpenApiExample("Testers", value=INPUT_EXAMPLE)])
class WholeSegment(KeyedSegment):
    """The body of PUT /v1/segments/{key}. A missing field gets its default."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: default_of(name) for name in FIELDS} | super().validate(attrs)


@extend_schema_serializer(examples=[OpenApiExample("One user more", value={"included": [names.USER]})])
class SegmentChanges(KeyedSegment):
    """The body of PATCH /v1/segments/{key}. A missing field does not change."""


class SegmentFilters(QuerySerializer):
    """The query of GET /v1/segments. A segment has to match all filters."""

    tag = serializers.CharField(
        required=False, max_length=64, trim_whitespace=False, help_text="Segments with this tag."
    )
    owner = serializers.CharField(
        required=False, max_length=200, trim_whitespace=False, help_text="Segments with exactly this owner."
    )
    search = serializers.CharField(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="A part of the key or description, in upper or lower case.",
    )


class SegmentPlanOptions(QuerySerializer):
    """The query of POST /v1/segments/{key}/plan."""

    replace = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="`true`: plan what PUT would do with the body, instead of PATCH."
    )

    def validate_replace(self, value: str) -> bool:
        return value == "true"


@extend_schema_serializer(component_name="Segment", examples=[OpenApiExample("Testers", value=OUTPUT_EXAMPLE)])
class SegmentSerializer(serializers.ModelSerializer[Segment]):
    """A segment in an answer."""

    key = serializers.RegexField(f"^{SEGMENT_KEY_PATTERN}$")
    description = serializers.CharField()
    rules = SegmentRules(help_text=RULES)
    included = Texts(help_text=INCLUDED)
    excluded = Texts(help_text=EXCLUDED)
    owner = serializers.CharField()
    tags = Texts()
    version = serializers.IntegerField(help_text="Increases with each change of the segment.")
    createdAt = serializers.DateTimeField(source="created_at")
    createdBy = serializers.CharField(source="created_by")
    updatedAt = serializers.DateTimeField(source="updated_at")
    updatedBy = serializers.CharField(source="updated_by")

    class Meta:
        model = Segment
        fields = ("key", *FIELDS, "version", "createdAt", "createdBy", "updatedAt", "updatedBy")


@extend_schema_serializer(component_name="SegmentPlan", examples=[OpenApiExample("One user more", value=PLAN_EXAMPLE)])
class SegmentPlanSerializer(serializers.Serializer[SegmentPlan]):
    """What a change of a segment would do. Nothing was written."""

    organizations = serializers.IntegerField(help_text="All organizations.")
    changed = serializers.IntegerField(help_text="The most organizations in which users may get another answer.")
    unchanged = serializers.IntegerField()
    isEstimate = serializers.BooleanField(source="is_estimate", help_text="`changed` is an upper bound.")
    changes = FieldChangeSerializer(source="fields", many=True, help_text="The fields that would change.")
    flags = Texts(help_text="The flags whose rules ask for the segment, also by way of other segments.")
    segments = Texts(help_text="The segments that contain this one, also by way of others.")
    neededBy = Texts(source="needed_by", help_text="Flags that need one of these flags.")
    keysAdded = serializers.IntegerField(source="keys_added", help_text="Targeting keys new in one of the lists.")
    keysRemoved = serializers.IntegerField(source="keys_removed")
    planHash = serializers.CharField(source="hash", help_text="Send it with the change, so that nothing else happens.")


class UsingFlagSerializer(serializers.Serializer[UsingFlag]):
    """A flag that uses a segment."""

    name = serializers.CharField(source="key")
    archived = serializers.BooleanField()
    through = Texts(help_text="The segments by way of which it does. Empty: its own rules ask for the segment.")


class UsingSegmentSerializer(serializers.Serializer[UsingSegment]):
    """A segment that contains another one."""

    key = serializers.CharField()
    through = Texts(help_text="The segments by way of which it does. Empty: its own rules ask for the segment.")


@extend_schema_serializer(component_name="SegmentUses", examples=[OpenApiExample("A flag", value=USES_EXAMPLE)])
class SegmentUsesSerializer(serializers.Serializer[Uses]):
    """What uses a segment."""

    flags = UsingFlagSerializer(many=True, help_text="Archived flags are among them, since they can come back.")
    segments = UsingSegmentSerializer(many=True)
    schedules = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="The ids of the scheduled changes that wait, and whose new rules ask for the segment.",
    )
