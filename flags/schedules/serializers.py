"""Scheduled changes in JSON: the bodies of requests and of answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flags.definitions.fields import FIELDS
from flags.definitions.json_fields import TrueOrFalse
from flags.definitions.models import FLAG_KEY
from flags.definitions.serializers import DefinitionPlanSerializer
from flags.schedules.backoff import MAX_RETRIES_LIMIT
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import MAX_EXPRESSION_LENGTH
from flags.schedules.schedulable import BELOW, HERE
from flags.schedules.schedule_plan import SchedulePlan
from flags.schedules.steps import FEWEST_STEPS, LONGEST_WAIT, MOST_STEPS
from flags.states.plan_serializers import PLANNED, PlanSerializer
from flags.states.setting_rules import Below
from flags.states.value_fields import JsonValue
from flagsite.core import example_names as names
from flagsite.core.api.combinations import exactly_one_form
from flagsite.core.api.input import IdInQuery, InputSerializer, QuerySerializer, Text, WriteInput
from flagsite.core.api.times import LOCAL_TIME_SCHEMA, TIME_SCHEMA, check_year
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

ONCE = {
    "featureFlagName": names.FLAG,
    "organizationId": names.OSLO_ID,
    "apply": {"enabled": True},
    "scheduledAt": "2030-01-31T09:00:00+01:00",
    "reason": "Launch in Oslo",
}
ROLLOUT = {
    "featureFlagName": names.FLAG,
    "apply": {"enabled": True, "rolloutPercentage": 25},
    "scheduledAt": "2030-01-31T09:00:00",
    "timeZone": "Europe/Oslo",
}
STEPS = {
    "featureFlagName": names.FLAG,
    "scheduledAt": "2030-01-31T09:00:00+01:00",
    "steps": [
        {"apply": {"enabled": True, "rolloutPercentage": 1}},
        {"apply": {"rolloutPercentage": 10}, "waitMinutes": 1440},
        {"apply": {"rolloutPercentage": 100}, "waitMinutes": 4320},
    ],
}
PAIR = {
    "featureFlagName": names.SALE_FLAG,
    "organizationId": names.ROOT,
    "onAt": "2030-11-29T00:00:00-05:00",
    "offAt": "2030-12-03T00:00:00-05:00",
}
LOCKED_PAIR = PAIR | {"apply": {"below": "lock"}}
RECURRING = {
    "featureFlagName": names.HAPPY_HOUR_FLAG,
    "organizationId": names.OSLO,
    "apply": {"enabled": True},
    "cron": "0 17 * * fri",
    "timeZone": "Europe/Oslo",
}
PENDING = {
    "id": names.PLANNED_ID,
    "featureFlagName": names.FLAG,
    "organizationId": names.OSLO_ID,
    "apply": {"enabled": True},
    "scheduledAt": "2030-01-31T08:00:00.000000Z",
    "status": "pending",
    "retryCount": 0,
    "maxRetries": 3,
    "nextRetryAt": None,
    "lastError": None,
    "appliedAt": None,
    "firstTry": None,
    "changeNumber": None,
    "jobId": None,
    "cron": None,
    "timeZone": None,
    "seriesId": None,
    "pairedWithId": None,
    "firstStepId": None,
    "createdBy": names.KEY_ACTOR,
    "authorOrganizationId": names.NORWAY_ID,
    "authorGone": None,
    "reason": "Launch in Oslo",
    "correlationId": "5f0c6a8e",
    "createdAt": "2029-12-01T10:00:00.000000Z",
}
APPLIED = PENDING | {
    "status": "applied",
    "appliedAt": "2030-01-31T08:00:03.120481Z",
    "firstTry": True,
    "changeNumber": 812,
    "createdBy": f"user:{names.PERSON}",
    "authorGone": "The person's account has been deactivated.",
}
FORMS = (
    ("scheduledAt, apply", {"scheduledAt", "apply"}),
    ("scheduledAt, steps", {"scheduledAt", "steps"}),
    ("onAt, offAt", {"onAt", "offAt"}),
    ("onAt, offAt, apply", {"onAt", "offAt", "apply"}),
    ("cron, timeZone, apply", {"cron", "timeZone", "apply"}),
)
"""The allowed combinations of fields, beside the flag and optional fields. timeZone may be in each of them."""


@extend_schema_field(LOCAL_TIME_SCHEMA)
class DateTimeText(serializers.Field[Any, Any, Any, Any]):
    """A time in ISO 8601, with an offset, or without one in the time zone of the request."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            parsed = parse_datetime(data) if isinstance(data, str) and data.isascii() else None
        except ValueError:
            parsed = None
        if parsed is None:
            raise ValidationError("This is not a date and time such as 2030-01-31T09:00:00+01:00.", code="invalid")
        return check_year(parsed)

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(TIME_SCHEMA)
class TimeWithOffset(DateTimeText):
    """A time in ISO 8601 with an offset, in UTC after the validation."""

    def to_internal_value(self, data: Any) -> datetime:
        time = super().to_internal_value(data)
        if time.tzinfo is None:
            raise ValidationError("The time needs an offset, such as Z or +01:00.")
        return time.astimezone(UTC)  # PostgreSQL knows fewer offsets than Python


class ScheduledValue(InputSerializer):
    """What a scheduled change sets: definition fields, or the setting of an organization."""

    combinations: ClassVar = {"minProperties": 1}

    below = serializers.ChoiceField(
        [each.value for each in Below],
        required=False,
        help_text="For an organization: what happens to the settings below, as for PUT of a setting. Default: "
        "`overwrite`.",
    )
    reach = serializers.ChoiceField(
        [BELOW, HERE], required=False, help_text="For an organization. `here`: the value counts for it only."
    )
    variant = Text(required=False, max_length=255, help_text="For an organization, instead of `enabled`: a variant.")
    value = JsonValue(required=False, help_text="For an organization, instead of `enabled`: a value.")
    reset = serializers.ChoiceField(
        [True], required=False, help_text="For an organization, instead of `enabled`: it gets the inherited value."
    )
    subtree = TrueOrFalse(required=False, help_text="With `reset`: the settings below end too.")

    def get_fields(self) -> dict[str, Any]:
        of_definitions = {spec.wire_name: spec.input_field() for spec in FIELDS.values() if spec.is_schedulable}
        return {**of_definitions, **super().get_fields()}


@extend_schema_field(ScheduledValue)
class WantedFields(serializers.Field[Any, Any, Any, Any]):
    """A JSON object with the definition fields, or the setting, that a schedule makes."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("This is not an object.", code="invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class StepInput(InputSerializer):
    """A step of a rollout."""

    apply = WantedFields(source="wanted", help_text="The new value, as for a change at a single time.")
    waitMinutes = serializers.IntegerField(
        source="wait", required=False, min_value=1, max_value=LONGEST_WAIT,
        help_text="The time after the step before. The first step has none.",
    )  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample("Once, for an organization and all below it", value=ONCE, request_only=True),
        OpenApiExample("Once, for the flag's definition", value=ROLLOUT, request_only=True),
        OpenApiExample("In steps", value=STEPS, request_only=True),
        OpenApiExample("On, and off again", value=PAIR, request_only=True),
        OpenApiExample("Locked on, and locked off", value=LOCKED_PAIR, request_only=True),
        OpenApiExample("Again and again", value=RECURRING, request_only=True),
    ]
)
class NewSchedule(WriteInput):
    """The body of POST /v1/schedules: a time, steps, a pair, or a recurrence (cron, timeZone)."""

    combinations: ClassVar = exactly_one_form((words.split(", ") for words, _ in FORMS), everywhere=("timeZone",))

    featureFlagName = Text(
        source="flag_key", max_length=255, validators=[FLAG_KEY], help_text="The name of an existing flag."
    )
    organizationId = ReferenceInBody(
        source="organization", required=False, allow_null=True, default=None,
        help_text=f"The change sets the flag on this organization and everything below. {HOW_TO_NAME} Null or absent: "
        "the change concerns the flag's definition.",
    )  # fmt: skip
    apply = WantedFields(
        source="wanted", required=False,
        help_text='The new value: {"enabled": true} or false. For a definition any of enabled, killed, archived, '
        "rolloutPercentage, rules, defaultVariant, defaultRollout, offVariant, environments, userWhitelist. For an "
        "organization, `below` and `reach` say how, and "
        '{"reset": true} resets the flag to the inherited value. With onAt and offAt only `below` and `reach`.',
    )  # fmt: skip
    scheduledAt = DateTimeText(source="at", required=False, help_text="The time, with an offset or in the timeZone.")
    steps = StepInput(
        many=True, required=False, min_length=FEWEST_STEPS, max_length=MOST_STEPS,
        help_text="A rollout in steps, of which the first comes at scheduledAt. When a step fails for good or is "
        "cancelled, the later ones are cancelled too.",
    )  # fmt: skip
    onAt = DateTimeText(source="on_at", required=False, help_text="The time at which the flag is turned on.")
    offAt = DateTimeText(source="off_at", required=False, help_text="The time at which the flag is turned off.")
    cron = Text(
        required=False,
        max_length=MAX_EXPRESSION_LENGTH,
        help_text="A cron expression: minute, hour, day of month, month, day of week.",
    )
    timeZone = Text(
        source="time_zone",
        required=False,
        max_length=64,
        help_text="The time zone of the cron expression and of times without offset.",
    )
    maxRetries = serializers.IntegerField(
        source="max_retries", required=False, min_value=0, max_value=MAX_RETRIES_LIMIT,
        help_text="The number of automatic retries. Default: FLAG_SCHEDULE_MAX_RETRIES.",
    )  # fmt: skip

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = set(self.initial_data) - {"featureFlagName", "organizationId", "maxRetries", "reason", "timeZone"}
        if not any(given == form - {"timeZone"} for _, form in FORMS):
            raise ValidationError(f"Send exactly one of these combinations: {'; '.join(words for words, _ in FORMS)}.")
        if "cron" in given and "time_zone" not in attrs:
            raise ValidationError({"timeZone": ["A cron expression needs its time zone, such as Europe/Oslo or UTC."]})
        return attrs


class ScheduleFilters(QuerySerializer):
    """The query of GET /v1/schedules."""

    status = serializers.ChoiceField(
        FlagSchedule.Status.choices, required=False, help_text="Scheduled changes with this status."
    )
    organizationId = ReferenceInQuery(
        source="organization_id",
        required=False,
        help_text=f"Scheduled changes on exactly this organization. {HOW_TO_NAME}",
    )
    flag = serializers.CharField(
        required=False, max_length=255, validators=[FLAG_KEY], help_text="Scheduled changes of this flag."
    )
    seriesId = IdInQuery(
        source="series_id",
        help_text="All occurrences of one recurring change, by the id of the first occurrence.",
    )
    to = TimeWithOffset(source="until", required=False, help_text="Scheduled before this time, which needs an offset.")

    def get_fields(self) -> dict[str, Any]:
        since = TimeWithOffset(
            source="since", required=False, help_text="Scheduled at this time or later. The time needs an offset."
        )
        return {**super().get_fields(), "from": since}  # `from` is a keyword in Python


@extend_schema_serializer(
    examples=[
        OpenApiExample("Pending", value=PENDING, status_codes=["200", "202"]),
        OpenApiExample("Applied", value=APPLIED, status_codes=["200"]),
    ]
)
class ScheduleSerializer(serializers.Serializer[FlagSchedule]):
    """A scheduled change in an answer."""

    id = serializers.IntegerField()
    featureFlagName = serializers.CharField(source="flag_key")
    organizationId = serializers.IntegerField(
        source="organization_id", allow_null=True, help_text="Null: the change concerns the flag's definition."
    )
    apply = WantedFields(source="wanted")
    scheduledAt = serializers.DateTimeField(source="scheduled_at")
    status = serializers.ChoiceField(FlagSchedule.Status.choices)
    retryCount = serializers.IntegerField(source="retry_count")
    maxRetries = serializers.IntegerField(source="max_retries")
    nextRetryAt = serializers.DateTimeField(
        source="next_retry_at",
        allow_null=True,
        help_text="The time of the next retry. Null on a failed change: it has failed for good.",
    )
    lastError = serializers.SerializerMethodField()
    appliedAt = serializers.DateTimeField(source="applied_at", allow_null=True)
    firstTry = serializers.BooleanField(
        source="first_try", allow_null=True, help_text="Whether the first attempt applied the change."
    )
    changeNumber = serializers.IntegerField(
        source="change_number", allow_null=True, help_text="The number of the change on the organization."
    )
    jobId = serializers.IntegerField(source="job_id", allow_null=True, help_text="The job that propagates the change.")
    cron = serializers.SerializerMethodField()
    timeZone = serializers.SerializerMethodField()
    seriesId = serializers.IntegerField(
        source="series_id",
        allow_null=True,
        help_text="The first occurrence of a recurring change. Null on the first occurrence itself.",
    )
    pairedWithId = serializers.IntegerField(
        source="paired_with_id", allow_null=True, help_text="The other scheduled change of a pair."
    )
    firstStepId = serializers.IntegerField(
        source="first_step_id", allow_null=True, help_text="The first step of a rollout in steps."
    )
    createdBy = serializers.CharField(source="created_by")
    authorOrganizationId = serializers.IntegerField(
        source="author_organization_id",
        allow_null=True,
        help_text="The top of the author's scope at that time. Your key may not see it. Null: everything.",
    )
    authorGone = serializers.SerializerMethodField(
        help_text="What happened to the account of a person who had left before the change was applied."
    )
    reason = serializers.CharField()
    correlationId = serializers.CharField(source="correlation_id")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_lastError(self, schedule: FlagSchedule) -> str | None:  # noqa: N802 - the name in JSON
        return schedule.last_error or None

    def get_cron(self, schedule: FlagSchedule) -> str | None:
        return schedule.cron or None

    def get_timeZone(self, schedule: FlagSchedule) -> str | None:  # noqa: N802
        return schedule.time_zone or None

    def get_authorGone(self, schedule: FlagSchedule) -> str | None:  # noqa: N802
        return schedule.author_gone or None


@extend_schema_serializer(
    component_name="SchedulePlan",
    examples=[
        OpenApiExample(
            "A set", value={"scheduleId": names.PLANNED_ID, "setting": PLANNED, "definition": None, "refused": None}
        )
    ],
)
class SchedulePlanSerializer(serializers.Serializer[SchedulePlan]):
    """What a scheduled change would do if it were due now. Nothing was written."""

    scheduleId = serializers.IntegerField(source="schedule.pk")
    setting = PlanSerializer(allow_null=True, help_text="Of a change of an organization.")
    definition = DefinitionPlanSerializer(allow_null=True, help_text="Of a change of a definition.")
    refused = serializers.CharField(allow_null=True, help_text="Why the change would fail. Null: it would be applied.")


@extend_schema_serializer(examples=[OpenApiExample("One", value={"schedules": [PENDING]}, status_codes=[201])])
class ScheduledSerializer(serializers.Serializer[dict[str, Any]]):
    """The created schedules: one, two for onAt and offAt, or one for each step."""

    schedules = ScheduleSerializer(many=True)
