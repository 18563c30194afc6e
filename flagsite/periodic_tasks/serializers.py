"""Periodic tasks in JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flagsite.core import example_names as names
from flagsite.core.api.combinations import at_least_one
from flagsite.core.api.input import InputSerializer, StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time
from flagsite.periodic_tasks import rules

MAX_INTEGER = 2**31 - 1
CRONTAB = {"minute": "30", "hour": "2", "dayOfMonth": "*", "monthOfYear": "*", "dayOfWeek": "*",
           "timeZone": "Europe/Oslo"}  # fmt: skip
NIGHTLY = {"name": names.NEW_PERIODIC_TASK, "task": "jobs.clean_up", "description": "Deletes jobs that ended long ago.",
           "enabled": True, "interval": None, "crontab": CRONTAB, "startTime": None, "expireSeconds": None,
           "keywordArguments": {}}  # fmt: skip
STORED = {
    **NIGHTLY,
    "id": names.PERIODIC_TASK_ID,
    "name": names.PERIODIC_TASK,
    "lastRunAt": "2026-11-23T01:30:00.104822Z",
    "totalRunCount": 57,
}
TWO_HOURS = {"interval": {"every": 2, "period": "hours"}}
SCHEDULE_HELP = "A periodic task has either an interval or a crontab; one takes the place of the other."


class IntervalField(InputSerializer):
    """The time between two runs."""

    every = serializers.IntegerField(min_value=1, max_value=MAX_INTEGER)
    period = serializers.ChoiceField(IntervalSchedule.PERIOD_CHOICES)


class CrontabField(InputSerializer):
    """The times of the runs, as five cron fields in a time zone."""

    minute = Text(max_length=240, default="*")
    hour = Text(max_length=96, default="*")
    dayOfMonth = Text(source="day_of_month", max_length=124, default="*")
    monthOfYear = Text(source="month_of_year", max_length=64, default="*")
    dayOfWeek = Text(source="day_of_week", max_length=64, default="*", help_text="0 is Sunday, and 6 is Saturday.")
    timeZone = Text(source="timezone", max_length=64, default="UTC", help_text="A name such as Europe/Oslo.")


class PeriodicTaskInput(WriteInput):
    """The fields of a periodic task that a client writes."""

    name = Text(max_length=200, help_text="A unique name for people.")
    task = Text(max_length=200, help_text="A task that the workers know, such as jobs.clean_up.")
    keywordArguments = serializers.DictField(
        source="kwargs",
        required=False,
        help_text='What the task takes: for jobs.enqueue the kind and its arguments, such as {"kind": "cleanup"}.',
    )
    description = Text(required=False, allow_blank=True, max_length=10_000)
    enabled = StrictBoolean(required=False, help_text="Beat sends the task only while this is true.")
    interval = IntervalField(required=False, allow_null=True, help_text=SCHEDULE_HELP)
    crontab = CrontabField(required=False, allow_null=True, help_text=SCHEDULE_HELP)
    startTime = Time(
        source="start_time", required=False, allow_null=True, help_text="Beat sends the task from then on."
    )
    expireSeconds = serializers.IntegerField(
        source="expire_seconds", required=False, allow_null=True, min_value=1, max_value=MAX_INTEGER,
        help_text="Workers leave out a run that has waited for longer.",
    )  # fmt: skip


@extend_schema_serializer(examples=[OpenApiExample("Every night", value=NIGHTLY)])
class NewPeriodicTask(PeriodicTaskInput):
    """The body of POST /v1/periodic-tasks."""

    combinations: ClassVar = {
        "oneOf": [{"required": [name], "properties": {name: {"type": "object"}}} for name in ("interval", "crontab")]
    }


@extend_schema_serializer(
    examples=[
        OpenApiExample("Another time", value=TWO_HOURS),
        OpenApiExample("Off", value={"enabled": False, "reason": "Maintenance"}),
    ]
)
class PeriodicTaskChanges(PeriodicTaskInput):
    """The body of PATCH /v1/periodic-tasks/{task_id}. A missing field does not change."""

    combinations: ClassVar = at_least_one(
        "name",
        "task",
        "keywordArguments",
        "description",
        "enabled",
        "interval",
        "crontab",
        "startTime",
        "expireSeconds",
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() - {"reason"}:
            raise ValidationError("Nothing to change: send at least one field.")
        return attrs


class IntervalSerializer(serializers.Serializer[IntervalSchedule]):
    """The time between two runs."""

    every = serializers.IntegerField()
    period = serializers.ChoiceField(IntervalSchedule.PERIOD_CHOICES)


class CrontabSerializer(serializers.Serializer[CrontabSchedule]):
    """The times of the runs, as five cron fields in a time zone."""

    minute = serializers.CharField()
    hour = serializers.CharField()
    dayOfMonth = serializers.CharField(source="day_of_month")
    monthOfYear = serializers.CharField(source="month_of_year")
    dayOfWeek = serializers.CharField(source="day_of_week")
    timeZone = serializers.SerializerMethodField()

    @extend_schema_field(str)
    def get_timeZone(self, crontab: CrontabSchedule) -> str:  # noqa: N802 - the wire's name
        return str(crontab.timezone)


@extend_schema_serializer(examples=[OpenApiExample("Every night", value=STORED, status_codes=[200, 201, 202])])
class PeriodicTaskSerializer(serializers.Serializer[PeriodicTask]):
    """A periodic task."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    task = serializers.CharField()
    keywordArguments = serializers.SerializerMethodField()
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    interval = IntervalSerializer(allow_null=True)
    crontab = CrontabSerializer(allow_null=True)
    startTime = serializers.DateTimeField(source="start_time", allow_null=True)
    expireSeconds = serializers.IntegerField(source="expire_seconds", allow_null=True)
    lastRunAt = serializers.DateTimeField(source="last_run_at", allow_null=True, help_text="Null: never, or disabled.")
    totalRunCount = serializers.IntegerField(source="total_run_count")

    def get_keywordArguments(self, task: PeriodicTask) -> dict[str, Any]:  # noqa: N802 - the wire's name
        return rules.keyword_arguments_of(task)
