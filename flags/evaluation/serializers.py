"""The JSON of check and explain: the evaluation context, and the resolution with its explanation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.helpers import lazy_serializer
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.evaluation.engine import Step
from flags.evaluation.explain import Checked, LatestChange, OwnSetting, PathEntry
from flags.evaluation.reasons import REASON_CHOICES, Rule
from flags.history.serializers import MomentField, PastSerializer
from flags.states.setting_rules import SETTING_KINDS
from flags.targeting.json_attributes import WrongAttributes, attributes_in
from flags.targeting.traces import ClauseTrace, RuleTrace, SegmentTrace
from flagsite.core import example_names as names
from flagsite.core.api.input import InputSerializer, QuerySerializer, Text
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

ASKED = {"userId": names.USER, "organizationKey": names.OSLO, "environment": "production"}
CHECKED = {
    "name": names.FLAG,
    "enabled": True,
    "variant": "on",
    "value": True,
    "reason": "SPLIT",
    "rule": "rollout",
    "organizationId": names.OSLO_ID,
    "sourceOrganizationId": names.ROOT_ID,
    "changeNumber": 12,
    "version": 3,
    "userId": names.USER,
    "environment": "production",
    "ruleId": None,
}
STEPS = [
    {"rule": "archived", "outcome": "next", "detail": "The flag is not archived."},
    {
        "rule": "rollout",
        "outcome": "on",
        "detail": "'user-17' is in bucket 1044 of 100000, inside the rollout of 12.5 %.",
    },
]
PATH = [
    {
        "id": names.ROOT_ID,
        "key": names.ROOT,
        "name": names.ROOT_NAME,
        "storedValue": True,
        "changeNumber": 12,
        "sourceOrganizationId": names.ROOT_ID,
        "jobId": names.WAITING_JOB_ID,
        "updatedAt": "2026-11-23T09:59:47.790076Z",
        "latestChange": {
            "number": 12,
            "enabled": True,
            "sourceOrganizationId": names.ROOT_ID,
            "jobId": names.WAITING_JOB_ID,
            "requestedBy": names.KEY_ACTOR,
            "createdAt": "2026-11-23T09:59:47.723168Z",
        },
        "setting": {"kind": "set", "value": True, "reach": "below", "changeNumber": 12},
        "decides": True,
        "why": "Its change 12 gives the stored value: on.",
    },
]
KEY_LIMIT = 255
LONGEST_BODY = 2 * 2**20
"""In bytes, of a body with a user and an environment that are as long as they may be."""
ANY_TEXT: dict[str, Any] = {"required": False, "allow_blank": True, "trim_whitespace": False, "max_length": 65_536}
"""A text of the body, limited like a whole evaluation request (`flags.serving.ofrep`). Empty means not given."""
IN_QUERY = ANY_TEXT | {"max_length": 2_000}
"""A text of the query, which is limited by the length of a URL, however it is encoded."""
ORGANIZATION_KEY = ANY_TEXT | {"max_length": KEY_LIMIT}
BY_KEY = "The organization's key, instead of its id. With both, they have to name the same organization."


@extend_schema_serializer(examples=[OpenApiExample("A user of a store", value=ASKED)])
class Question(InputSerializer):
    """The body of POST …/check and …/explain. All fields are optional."""

    userId = Text(source="user_id", help_text="The targeting key.", **ANY_TEXT)
    organizationId = ReferenceInBody(source="organization", required=False, help_text=HOW_TO_NAME)
    organizationKey = Text(source="organization_key", help_text=BY_KEY, **ORGANIZATION_KEY)
    environment = Text(**ANY_TEXT)
    attributes = serializers.DictField(
        required=False, help_text="The attributes of the user, which targeting rules can ask for."
    )

    def validate_attributes(self, attributes: dict[str, Any]) -> dict[str, Any]:
        try:
            return attributes_in(attributes)
        except WrongAttributes as error:
            raise serializers.ValidationError(str(error)) from error


class QuestionInQuery(QuerySerializer):
    """The query of GET …/check and …/explain. All parameters are optional."""

    userId = serializers.CharField(source="user_id", help_text="The targeting key.", **IN_QUERY)
    organizationId = ReferenceInQuery(
        source="organization",
        required=False,
        help_text=f"{HOW_TO_NAME} Without it: the organization to which the access key is bound, or else none.",
    )
    organizationKey = serializers.CharField(source="organization_key", help_text=BY_KEY, **ORGANIZATION_KEY)
    environment = serializers.CharField(**IN_QUERY)


class ExplainQuestion(Question):
    """The body of POST …/explain: that of POST …/check, with a moment."""

    at = MomentField()


class ExplainQuestionInQuery(QuestionInQuery):
    """The query of GET …/explain: that of GET …/check, with a moment."""

    at = MomentField()


NAMED_VARIANT = "The key of the variant that it names, or `custom`. Empty: it names none."


@extend_schema_serializer(examples=[OpenApiExample("In a rollout", value=CHECKED)])
class CheckedSerializer(serializers.Serializer[Checked]):
    """The resolution of a flag, and the input of the evaluation."""

    name = serializers.CharField(source="definition.key")
    enabled = serializers.BooleanField(source="decision.enabled")
    variant = serializers.SerializerMethodField(
        help_text="The key of the variant: on or off for a boolean flag, custom for a custom value. Null: none."
    )
    value = serializers.JSONField(
        source="decision.value",
        help_text="The value, of the type of the flag. Null: none, so the default in the application counts.",
    )
    reason = serializers.ChoiceField(
        REASON_CHOICES, source="decision.reason", help_text="The reason, as OpenFeature names it."
    )
    rule = serializers.ChoiceField(list(Rule), source="decision.rule", help_text="The rule that decided.")
    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    sourceOrganizationId = serializers.SerializerMethodField(
        help_text="The organization on which the value was set. The key may not see it. Null: nobody set it."
    )
    changeNumber = serializers.SerializerMethodField(help_text="The number of the change that set the value.")
    version = serializers.IntegerField(source="definition.version", help_text="The version of the definition.")
    userId = serializers.CharField(source="context.targeting_key", allow_null=True)
    environment = serializers.CharField(source="context.environment", allow_null=True)
    ruleId = serializers.SerializerMethodField(help_text="The targeting rule that decided. Null: another rule decided.")

    def get_variant(self, checked: Checked) -> str | None:
        return checked.decision.variant or None

    def get_ruleId(self, checked: Checked) -> str | None:  # noqa: N802
        return checked.decision.rule_id or None

    def get_sourceOrganizationId(self, checked: Checked) -> int | None:  # noqa: N802 - the wire's name
        return checked.decision.state.source_id if checked.decision.state else None

    def get_changeNumber(self, checked: Checked) -> int | None:  # noqa: N802
        return checked.decision.state.number if checked.decision.state else None


class StepSerializer(serializers.Serializer[Step]):
    """The result of one rule."""

    rule = serializers.ChoiceField(list(Rule))
    outcome = serializers.SerializerMethodField(help_text="`next`: the rule left the decision to the next rule.")
    detail = serializers.CharField()

    def get_outcome(self, step: Step) -> str:
        return "next" if step.enabled is None else "on" if step.enabled else "off"


class LatestChangeSerializer(serializers.Serializer[LatestChange]):
    """The latest change on an organization."""

    number = serializers.IntegerField(help_text="The highest number wins.")
    enabled = serializers.BooleanField(
        allow_null=True, help_text="The value of the organization since then. Null: none, so the default counts."
    )
    sourceOrganizationId = serializers.IntegerField(
        source="source_id",
        allow_null=True,
        help_text="The organization whose setting decided. It is another one after a move or a reset.",
    )
    jobId = serializers.IntegerField(source="job_id", allow_null=True, help_text="The job that propagates the change.")
    requestedBy = serializers.CharField(source="requested_by")
    createdAt = serializers.DateTimeField(source="created_at")
    variant = serializers.CharField(help_text=NAMED_VARIANT)


class PathSettingSerializer(serializers.Serializer[OwnSetting]):
    """The setting of an organization on the path."""

    kind = serializers.ChoiceField(SETTING_KINDS, help_text="`none`: nothing is set there any more.")
    value = serializers.BooleanField(source="enabled", allow_null=True)
    variant = serializers.CharField(help_text=NAMED_VARIANT)
    reach = serializers.SerializerMethodField(help_text="`here`: the value counts for this organization only.")
    changeNumber = serializers.IntegerField(source="number")

    def get_reach(self, setting: OwnSetting) -> str:
        return "here" if setting.only_here else "below"


@extend_schema_serializer(component_name="Link")
class PathEntrySerializer(serializers.Serializer[PathEntry]):
    """An organization on the path."""

    id = serializers.IntegerField()
    key = serializers.CharField()
    name = serializers.CharField()
    storedValue = serializers.BooleanField(
        source="stored_value",
        allow_null=True,
        help_text="The value of the organization's flag state. Null: it has none.",
    )
    variant = serializers.CharField(help_text=NAMED_VARIANT)
    changeNumber = serializers.IntegerField(source="change_number", allow_null=True)
    sourceOrganizationId = serializers.IntegerField(source="source_id", allow_null=True)
    jobId = serializers.IntegerField(
        source="job_id", allow_null=True, help_text="The job that wrote the flag state. Null if no job was necessary."
    )
    updatedAt = serializers.DateTimeField(source="updated_at", allow_null=True)
    latestChange = LatestChangeSerializer(source="change", allow_null=True)
    setting = PathSettingSerializer(allow_null=True)
    decides = serializers.BooleanField(
        help_text="Whether the value that was set here decides for the requested organization."
    )
    why = serializers.CharField(help_text="Why this organization decides, or why not.")


class ClauseTraceSerializer(serializers.Serializer[ClauseTrace]):
    """What a clause compared."""

    attribute = serializers.CharField(help_text="Empty for `inSubtree`, `level` and `inSegment`.")
    op = serializers.CharField()
    values = serializers.ListField(child=serializers.JSONField())
    negate = serializers.BooleanField()
    compared = serializers.JSONField(help_text="The value that the clause looked at. Null: none.")
    matches = serializers.BooleanField()
    why = serializers.CharField(help_text="The comparison in words.")
    sourceOrganizationKey = serializers.CharField(
        source="source_key",
        allow_null=True,
        help_text="The organization from which an attribute `org.…` comes. Null for everything else.",
    )
    segments = serializers.SerializerMethodField(help_text="The segments for which the clause asks.")

    @extend_schema_field(lazy_serializer("flags.evaluation.serializers.SegmentTraceSerializer")(many=True))
    def get_segments(self, clause: ClauseTrace) -> list[dict[str, Any]]:
        return list(SegmentTraceSerializer(clause.segments, many=True).data)


class RuleTraceSerializer(serializers.Serializer[RuleTrace]):
    """A targeting rule, or a rule of a segment, and whether it matches."""

    id = serializers.CharField()
    matches = serializers.BooleanField()
    clauses = ClauseTraceSerializer(many=True)


class SegmentTraceSerializer(serializers.Serializer[SegmentTrace]):
    """A segment for which a clause asks, and whether the user is in it."""

    key = serializers.CharField()
    matches = serializers.BooleanField()
    why = serializers.CharField(help_text="Which list of targeting keys or which rule has decided.")
    rules = RuleTraceSerializer(
        many=True, help_text="The rules of the segment up to the first that matches. Empty if a list has decided."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "In a rollout", value=CHECKED | {"steps": STEPS, "rules": [], "organizations": PATH, "past": None}
        )
    ]
)
class ExplainedSerializer(CheckedSerializer):
    """The resolution of a flag and its explanation. The serializer's context has `path` and `is_bound`."""

    steps = StepSerializer(many=True, source="decision.steps", help_text="Every rule up to the one that decided.")
    rules = serializers.SerializerMethodField(
        help_text="The targeting rules up to the first that matches, with what their clauses compared. Null if your "
        "access key is bound to an organization."
    )
    organizations = serializers.SerializerMethodField(
        help_text="The path to the organization, from the root or from the topmost organization that the key sees."
    )

    past = serializers.SerializerMethodField(help_text="The moment and the cause. Null without `at`.")

    @extend_schema_field(PastSerializer(allow_null=True))
    def get_past(self, checked: Checked) -> dict[str, Any] | None:
        past = self.context.get("past")
        return None if past is None else dict(PastSerializer(past).data)

    @extend_schema_field(RuleTraceSerializer(many=True, allow_null=True))
    def get_rules(self, checked: Checked) -> list[dict[str, Any]] | None:
        if self.context["is_bound"]:  # values of clauses name users and organizations of others
            return None
        return list(RuleTraceSerializer(checked.rule_traces, many=True).data)

    def get_organizations(self, checked: Checked) -> list[dict[str, Any]]:
        return list(PathEntrySerializer(self.context["path"], many=True).data)
