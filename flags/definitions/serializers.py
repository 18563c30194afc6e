"""Definitions in JSON: the bodies of requests and answers, made from the field specs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flags.definitions.definition_plan import DefinitionPlan, FieldChange
from flags.definitions.fields import FIELDS, HIDDEN_FROM_BOUND, as_json, values_of
from flags.definitions.models import FLAG_KEY, FLAG_KEY_PATTERN, Flag
from flags.definitions.open_schedules import open_schedules
from flagsite.core import example_names as names
from flagsite.core.api.agreed_serializers import AgreedInput
from flagsite.core.api.input import QuerySerializer, Text, WriteInput

INPUT_EXAMPLE = {"name": names.FLAG, **{spec.wire_name: spec.example for spec in FIELDS.values()}}
NEW_EXAMPLE = INPUT_EXAMPLE | {"name": names.NEW_FLAG}
OUTPUT_EXAMPLE = INPUT_EXAMPLE | {
    "version": 3,
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "createdBy": names.KEY_ACTOR,
    "updatedAt": "2026-11-23T10:12:03.104822Z",
    "updatedBy": f"user:{names.PERSON}",
}
TYPED_EXAMPLE = {
    "name": names.NEW_TYPED_FLAG,
    "type": "string",
    "enabled": True,
    "variants": [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}],
    "defaultVariant": "blue",
    "defaultRollout": {"rollout": {"blue": 70, "red": 30}, "by": "targetingKey"},
    "offVariant": None,
    "schema": {"pattern": "^#[0-9a-f]{3}$"},
}
PLAN_EXAMPLE = {
    "organizations": 42,
    "changed": 30,
    "unchanged": 12,
    "isEstimate": False,
    "changes": [{"field": "killed", "before": False, "after": True}],
    "environments": [],
    "usersAdded": 0,
    "usersRemoved": 0,
    "neededBy": [names.BASKET_FLAG],
    "openSchedules": 1,
    "scheduleIds": [names.PLANNED_ID],
    "askedLast7Days": 18,
    "jobsUnderWay": [],
    "planHash": "11-3-0f343b0931126a20f133d67c2b018a3b",
}
PURGE_EXAMPLE = {"jobId": 5, "trackingUrl": "/job-status/5", "message": "The flag and its states are being deleted"}


class DefinitionInput(WriteInput):
    """The definition fields that a client writes. It may also send back the read-only fields, which change nothing.

    The fields have no defaults here. The subclass decides what a missing field means.
    """

    version = serializers.IntegerField(read_only=True)
    createdAt = serializers.DateTimeField(read_only=True)
    createdBy = serializers.CharField(read_only=True)
    updatedAt = serializers.DateTimeField(read_only=True)
    updatedBy = serializers.CharField(read_only=True)
    openSchedules = serializers.IntegerField(read_only=True)

    def get_fields(self) -> dict[str, Any]:
        return {**{spec.wire_name: spec.input_field() for spec in FIELDS.values()}, **super().get_fields()}


@extend_schema_serializer(
    examples=[OpenApiExample("A rollout", value=NEW_EXAMPLE), OpenApiExample("Variants", value=TYPED_EXAMPLE)]
)
class NewDefinition(DefinitionInput):
    """The body of POST /v1/feature-flags."""

    name = Text(
        max_length=255,
        trim_whitespace=False,
        validators=[FLAG_KEY],
        help_text="The key of the flag in your code. It cannot be changed.",
    )


class NamedDefinition(AgreedInput, DefinitionInput):
    """A definition whose name is in the path; the body may repeat it."""

    name = Text(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="The same name as in the path. The name of a flag cannot be changed.",
    )


@extend_schema_serializer(examples=[OpenApiExample("A rollout", value=INPUT_EXAMPLE)])
class WholeDefinition(NamedDefinition):
    """The body of PUT /v1/feature-flags/{name}. A missing field gets its default, unless it is in `KEPT`."""

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
    """The body of PATCH /v1/feature-flags/{name}. A missing field does not change."""


class DefinitionFilters(QuerySerializer):
    """The query of GET /v1/feature-flags. A flag has to match all filters."""

    tag = serializers.CharField(required=False, max_length=64, trim_whitespace=False, help_text="Flags with this tag.")
    owner = serializers.CharField(
        required=False, max_length=200, trim_whitespace=False, help_text="Flags with exactly this owner."
    )
    kind = serializers.ChoiceField(Flag.Kind.choices, required=False)
    archived = serializers.ChoiceField(["true", "false"], default="false", help_text="`true`: archived flags only.")
    stale = serializers.ChoiceField(
        ["true", "false"], required=False, help_text="`true`: stale flags only; see docs/lifetimes.md."
    )
    search = serializers.CharField(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="A part of the name or description, in upper or lower case.",
    )


class PlanOptions(QuerySerializer):
    """The query of POST /v1/feature-flags/{name}/plan."""

    replace = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="`true`: plan what PUT would do with the body, instead of PATCH."
    )

    def validate_replace(self, value: str) -> bool:
        return value == "true"


class EndOptions(QuerySerializer):
    """The query of DELETE /v1/feature-flags/{name}."""

    atMost = serializers.IntegerField(
        required=False, min_value=0, help_text="Refuse to archive if more organizations would get another answer."
    )
    planHash = serializers.CharField(
        required=False, max_length=200, help_text="The hash of a plan to archive the flag, which is refused if stale."
    )

    purge = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="Delete the flag and its values on all organizations for ever."
    )

    def validate_purge(self, value: str) -> bool:
        return value == "true"


class FieldChangeSerializer(serializers.Serializer[FieldChange]):
    """A field that would change."""

    field = serializers.CharField(source="name")
    before = serializers.JSONField()
    after = serializers.JSONField()


@extend_schema_serializer(component_name="DefinitionPlan", examples=[OpenApiExample("A kill", value=PLAN_EXAMPLE)])
class DefinitionPlanSerializer(serializers.Serializer[DefinitionPlan]):
    """What a change of a definition would do. Nothing was written. The context has `figures`."""

    organizations = serializers.IntegerField(help_text="All organizations.")
    changed = serializers.IntegerField(
        help_text="Those that would get another answer, for all users or for some, where no environment override holds."
    )
    unchanged = serializers.IntegerField()
    isEstimate = serializers.BooleanField(
        source="is_estimate",
        help_text="`changed` is an upper bound, because of prerequisites, targeting rules or the whitelist, or what a "
        "rollout of organizations expects.",
    )
    changes = FieldChangeSerializer(source="fields", many=True, help_text="The fields that would change.")
    environments = serializers.ListField(
        child=serializers.CharField(), help_text="The environments whose override would change."
    )
    usersAdded = serializers.IntegerField(source="users_added", help_text="Targeting keys new in the whitelist.")
    usersRemoved = serializers.IntegerField(source="users_removed")
    neededBy = serializers.ListField(
        source="needed_by", child=serializers.CharField(),
        help_text="Flags that need this one, so that their answers may change too.",
    )  # fmt: skip
    openSchedules = serializers.IntegerField(
        source="open_schedules", help_text="Scheduled changes of the flag that wait for their time or for a retry."
    )
    scheduleIds = serializers.ListField(
        source="schedule_ids", child=serializers.IntegerField(), help_text="The next of them, 10 at most."
    )
    askedLast7Days = serializers.SerializerMethodField(
        help_text="How many organizations have asked for the flag in the last 7 days, at most as many as would get "
        "another answer. Null: there is too much to count."
    )
    jobsUnderWay = serializers.SerializerMethodField(
        help_text="Open jobs that write the flag, of which your key sees the organizations; at most 20."
    )
    planHash = serializers.CharField(source="hash", help_text="Send it with the change, so that nothing else happens.")

    def get_askedLast7Days(self, plan: DefinitionPlan) -> int | None:  # noqa: N802 - the wire's name
        asked: int | None = self.context["figures"].asked_for(plan.flag.pk)
        return asked

    def get_jobsUnderWay(self, _: DefinitionPlan) -> list[int]:  # noqa: N802
        return list(self.context["figures"].jobs)


@extend_schema_serializer(examples=[OpenApiExample("A rollout", value=OUTPUT_EXAMPLE)])
class DefinitionSerializer(serializers.Serializer[Flag]):
    """A definition in an answer. The serializer's context says whether the caller may see `personal` data."""

    name = serializers.RegexField(f"^{FLAG_KEY_PATTERN}$")
    version = serializers.IntegerField(help_text="Increases with each change of the definition.")
    createdAt = serializers.DateTimeField()
    createdBy = serializers.CharField(allow_null=True, help_text=HIDDEN_FROM_BOUND)
    updatedAt = serializers.DateTimeField()
    updatedBy = serializers.CharField(allow_null=True, help_text=HIDDEN_FROM_BOUND)

    def get_fields(self) -> dict[str, Any]:
        others = super().get_fields()
        name = others.pop("name")
        return {"name": name, **{spec.wire_name: spec.output_field() for spec in FIELDS.values()}, **others}

    def to_representation(self, flag: Flag) -> dict[str, Any]:
        sees_authors = self.context["personal"]
        return {
            "name": flag.key,
            **as_json(values_of(flag), is_bound=not self.context["personal"]),
            "version": flag.version,
            "createdAt": flag.created_at,
            "createdBy": flag.created_by if sees_authors else None,
            "updatedAt": flag.updated_at,
            "updatedBy": flag.updated_by if sees_authors else None,
        }


@extend_schema_serializer(
    examples=[
        OpenApiExample("Archived", value=OUTPUT_EXAMPLE | {"archived": True, "openSchedules": 0}, status_codes=[200])
    ]
)
class ArchivedDefinitionSerializer(DefinitionSerializer):
    """The answer of DELETE without `purge=true`."""

    openSchedules = serializers.IntegerField(
        help_text="The scheduled changes of the flag that wait for their time or for a retry. As long as the "
        "flag is archived, none of them can set its value: at its time, it fails."
    )

    def to_representation(self, flag: Flag) -> dict[str, Any]:
        return super().to_representation(flag) | {"openSchedules": open_schedules(flag)}


@extend_schema_serializer(examples=[OpenApiExample("A purge", value=PURGE_EXAMPLE, status_codes=[202])])
class PurgeStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of DELETE with `purge=true`."""

    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField()
    message = serializers.CharField()
