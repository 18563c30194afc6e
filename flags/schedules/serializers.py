"""Scheduled changes in JSON: the bodies of requests and of answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flags.definitions.models import FLAG_KEY
from flags.schedules.backoff import MOST_RETRIES
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import LONGEST_EXPRESSION
from flagsite.core.actor import MAX_REASON_LENGTH
from flagsite.core.api.input import Id, IdInQuery, InputSerializer, QuerySerializer, Text

ONCE = {
    "featureFlagName": "new-checkout",
    "organizationId": 4,
    "apply": {"enabled": True},
    "scheduledAt": "2030-01-31T09:00:00+01:00",
    "reason": "Launch in Oslo",
}
ROLLOUT = {
    "featureFlagName": "new-checkout",
    "apply": {"enabled": True, "rolloutPercentage": 25},
    "scheduledAt": "2030-01-31T09:00:00",
    "timeZone": "Europe/Oslo",
}
PAIR = {
    "featureFlagName": "sale",
    "organizationId": 1,
    "onAt": "2030-11-29T00:00:00-05:00",
    "offAt": "2030-12-03T00:00:00-05:00",
}
RECURRING = {
    "featureFlagName": "happy-hour",
    "organizationId": 4,
    "apply": {"enabled": True},
    "cron": "0 17 * * fri",
    "timeZone": "Europe/Oslo",
}
PENDING = {
    "id": 17,
    "featureFlagName": "new-checkout",
    "organizationId": 4,
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
    "createdBy": "key:4fG6aB launch",
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
    "authorGone": "The access key was revoked since.",
}
FORMS = (
    ("scheduledAt, apply", {"scheduledAt", "apply"}),
    ("onAt, offAt", {"onAt", "offAt"}),
    ("cron, timeZone, apply", {"cron", "timeZone", "apply"}),
)
"""The fields that a body has beside the flag: exactly one of these forms, and timeZone with any."""


@extend_schema_field({"type": "string", "format": "date-time"})
class DateTimeText(serializers.Field[Any, Any, Any, Any]):
    """An ISO 8601 date and time, with or without an offset; each use of it says whether the offset is needed."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            parsed = parse_datetime(data) if isinstance(data, str) and data.isascii() else None
        except ValueError:
            parsed = None
        if parsed is None:
            raise ValidationError("Not a date and time such as 2030-01-31T09:00:00+01:00.", code="invalid")
        return parsed

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "object", "additionalProperties": True})
class WantedFields(serializers.Field[Any, Any, Any, Any]):
    """A JSON object with the definition fields that are to be applied."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("Not an object.", code="invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_serializer(
    examples=[
        OpenApiExample("Once, for an organization and all below it", value=ONCE, request_only=True),
        OpenApiExample("Once, for the flag's definition", value=ROLLOUT, request_only=True),
        OpenApiExample("On, and off again", value=PAIR, request_only=True),
        OpenApiExample("Again and again", value=RECURRING, request_only=True),
    ]
)
class NewSchedule(InputSerializer):
    """The body of POST /v1/schedules: a time (scheduledAt), a pair (onAt, offAt) or a recurrence (cron, timeZone)."""

    featureFlagName = Text(source="flag_key", max_length=255, validators=[FLAG_KEY], help_text="A flag that exists.")
    organizationId = Id(
        source="organization_id", required=False, allow_null=True, default=None,
        help_text="Where it is set, with all that is below. Null or absent: the flag's own definition is changed.",
    )  # fmt: skip
    apply = WantedFields(
        source="wanted", required=False,
        help_text='{"enabled": true} or false; for a definition any of enabled, killed, archived, rolloutPercentage, '
        "environments, userWhitelist. Not with onAt and offAt.",
    )  # fmt: skip
    scheduledAt = DateTimeText(source="at", required=False, help_text="With an offset, or in the timeZone.")
    onAt = DateTimeText(source="on_at", required=False, help_text="When it is switched on.")
    offAt = DateTimeText(source="off_at", required=False, help_text="When it is switched off.")
    cron = Text(
        required=False, max_length=LONGEST_EXPRESSION, help_text="Minute, hour, day of month, month, day of week."
    )
    timeZone = Text(
        source="time_zone",
        required=False,
        max_length=64,
        help_text="Of the cron expression and of times without offset.",
    )
    maxRetries = serializers.IntegerField(
        source="max_retries", required=False, min_value=0, max_value=MOST_RETRIES,
        help_text="Automatic retries; FLAG_SCHEDULE_MAX_RETRIES unless given.",
    )  # fmt: skip
    reason = Text(
        max_length=MAX_REASON_LENGTH,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why; kept in the history.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = set(self.initial_data) - {"featureFlagName", "organizationId", "maxRetries", "reason", "timeZone"}
        if not any(given == form - {"timeZone"} for _, form in FORMS):
            raise ValidationError(f"Give one of: {'; '.join(words for words, _ in FORMS)}; and no other.")
        if "cron" in given and "time_zone" not in attrs:
            raise ValidationError({"timeZone": ["A cron expression needs its time zone, such as Europe/Oslo or UTC."]})
        return attrs


class ScheduleFilters(QuerySerializer):
    """The query of GET /v1/schedules."""

    status = serializers.ChoiceField(FlagSchedule.Status.choices, required=False, help_text="How they stand.")
    organizationId = IdInQuery(
        source="organization_id",
        help_text="Set on exactly this one.",
    )
    flag = serializers.CharField(required=False, max_length=255, validators=[FLAG_KEY], help_text="Of this flag.")
    seriesId = IdInQuery(
        source="series_id",
        help_text="Occurrences of one recurring change: the id of the first, which is among them.",
    )
    to = DateTimeText(source="until", required=False, help_text="Scheduled before; with an offset.")

    def get_fields(self) -> dict[str, Any]:
        since = DateTimeText(source="since", required=False, help_text="Scheduled then or later; with an offset.")
        return {**super().get_fields(), "from": since}  # `from` is a word of Python's

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name, source in (("from", "since"), ("to", "until")):
            if source not in attrs:
                continue
            if attrs[source].tzinfo is None:
                raise ValidationError({name: ["The time needs an offset, such as Z or +01:00."]})
            try:
                attrs[source] = attrs[source].astimezone(UTC)  # PostgreSQL knows fewer offsets than Python
            except OverflowError:
                raise ValidationError({name: ["The time is out of range."]}) from None
        return attrs


@extend_schema_serializer(
    examples=[
        OpenApiExample("Pending", value=PENDING, status_codes=["200", "202"]),
        OpenApiExample("Applied", value=APPLIED, status_codes=["200"]),
    ]
)
class ScheduleSerializer(serializers.Serializer[FlagSchedule]):
    """A scheduled change as it is answered."""

    id = serializers.IntegerField()
    featureFlagName = serializers.CharField(source="flag_key")
    organizationId = serializers.IntegerField(
        source="organization_id", allow_null=True, help_text="Null: the flag's own definition."
    )
    apply = WantedFields(source="wanted")
    scheduledAt = serializers.DateTimeField(source="scheduled_at")
    status = serializers.ChoiceField(FlagSchedule.Status.choices)
    retryCount = serializers.IntegerField(source="retry_count")
    maxRetries = serializers.IntegerField(source="max_retries")
    nextRetryAt = serializers.DateTimeField(
        source="next_retry_at", allow_null=True, help_text="Null on a failed one: it has failed for good."
    )
    lastError = serializers.SerializerMethodField()
    appliedAt = serializers.DateTimeField(source="applied_at", allow_null=True)
    firstTry = serializers.BooleanField(
        source="first_try", allow_null=True, help_text="Whether it was applied at the first try."
    )
    changeNumber = serializers.IntegerField(
        source="change_number", allow_null=True, help_text="Of the change of an organization that it led to."
    )
    jobId = serializers.IntegerField(source="job_id", allow_null=True, help_text="The job that carries it down.")
    cron = serializers.SerializerMethodField()
    timeZone = serializers.SerializerMethodField()
    seriesId = serializers.IntegerField(
        source="series_id", allow_null=True, help_text="The first occurrence of a recurring one; null on that itself."
    )
    pairedWithId = serializers.IntegerField(source="paired_with_id", allow_null=True, help_text="The other half.")
    createdBy = serializers.CharField(source="created_by")
    authorGone = serializers.SerializerMethodField(help_text="What had become of the author when it was applied.")
    reason = serializers.CharField()
    correlationId = serializers.CharField(source="correlation_id")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_lastError(self, schedule: FlagSchedule) -> str | None:  # noqa: N802 - the wire's name
        return schedule.last_error or None

    def get_cron(self, schedule: FlagSchedule) -> str | None:
        return schedule.cron or None

    def get_timeZone(self, schedule: FlagSchedule) -> str | None:  # noqa: N802
        return schedule.time_zone or None

    def get_authorGone(self, schedule: FlagSchedule) -> str | None:  # noqa: N802
        return schedule.author_gone or None


@extend_schema_serializer(examples=[OpenApiExample("One", value={"schedules": [PENDING]}, status_codes=[201])])
class ScheduledSerializer(serializers.Serializer[dict[str, Any]]):
    """What was scheduled: one, or for onAt and offAt two."""

    schedules = ScheduleSerializer(many=True)
