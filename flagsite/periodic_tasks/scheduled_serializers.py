"""What runs later, and the beat, in JSON."""

from __future__ import annotations

from typing import Any

from django_celery_beat.models import PeriodicTask
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.schedules.recurrence import FIELDS
from flagsite.core import example_names as names
from flagsite.periodic_tasks import rules, scheduled
from flagsite.periodic_tasks.scheduled import JOB, TASK, SchedulerStatus
from flagsite.periodic_tasks.serializers import PeriodicTaskInput
from jobs.engine.models import Job

LATER_JOB = {
    "id": f"job-{names.LATER_JOB_ID}", "type": JOB, "name": "cleanup", "nextRunAt": "2026-12-23T10:00:00Z",
    "enabled": True, "cron": None, "timeZone": None, "everySeconds": None, "queue": "cleanup", "arguments": {},
    "organizationId": None,
}  # fmt: skip
WEEKLY = {
    "id": f"task-{names.PERIODIC_TASK_ID}", "type": TASK, "name": names.PERIODIC_TASK,
    "nextRunAt": "2026-11-29T01:30:00Z", "enabled": True, "cron": "30 2 * * 0", "timeZone": "Europe/Oslo",
    "everySeconds": None, "queue": None, "arguments": {}, "organizationId": None,
}  # fmt: skip


@extend_schema_serializer(
    examples=[OpenApiExample("A periodic task", value=WEEKLY), OpenApiExample("A job", value=LATER_JOB)]
)
class ScheduledWorkSerializer(serializers.Serializer[Any]):
    """A job that is due later, or a periodic task."""

    id = serializers.CharField(help_text="Such as job-17 or task-3.")
    type = serializers.ChoiceField([JOB, TASK])
    name = serializers.CharField(help_text="The kind of the job, or the name of the periodic task.")
    nextRunAt = serializers.DateTimeField(allow_null=True, help_text="Null: the periodic task is disabled.")
    enabled = serializers.BooleanField()
    cron = serializers.CharField(allow_null=True, help_text="The crontab of a periodic task, in five fields.")
    timeZone = serializers.CharField(allow_null=True)
    everySeconds = serializers.FloatField(allow_null=True, help_text="The interval of a periodic task.")
    queue = serializers.CharField(allow_null=True, help_text="The queue of the job; null for a periodic task.")
    arguments = serializers.DictField(help_text="The arguments of the job or of the periodic task.")
    organizationId = serializers.IntegerField(allow_null=True)

    def to_representation(self, row: Job | PeriodicTask) -> dict[str, Any]:
        return super().to_representation(_of_job(row) if isinstance(row, Job) else _of_task(row))


def _of_job(job: Job) -> dict[str, Any]:
    return {
        "id": f"{JOB}-{job.pk}", "type": JOB, "name": job.kind, "nextRunAt": job.run_at, "enabled": True, "cron": None,
        "timeZone": None, "everySeconds": None, "queue": job.queue, "arguments": job.arguments,
        "organizationId": job.organization_id,
    }  # fmt: skip


def _of_task(task: PeriodicTask) -> dict[str, Any]:
    crontab, interval = task.crontab, task.interval
    return {
        "id": f"{TASK}-{task.pk}", "type": TASK, "name": task.name, "nextRunAt": scheduled.next_run_at(task),
        "enabled": task.enabled, "cron": " ".join(getattr(crontab, name) for name in FIELDS) if crontab else None,
        "timeZone": str(crontab.timezone) if crontab else None,
        "everySeconds": interval.schedule.run_every.total_seconds() if interval else None, "queue": None,
        "arguments": rules.keyword_arguments_of(task), "organizationId": None,
    }  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample("A job", value={"id": f"job-{names.LATER_JOB_ID}", "removed": "cancelled"}),
        OpenApiExample("A periodic task", value={"id": f"task-{names.PERIODIC_TASK_ID}", "removed": "deleted"}),
    ]
)
class RemovedSerializer(serializers.Serializer[dict[str, str]]):
    """What was removed."""

    id = serializers.CharField()
    removed = serializers.ChoiceField(
        ["cancelled", "deleted"], help_text="A job is cancelled, a periodic task deleted."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Each night",
            value={"crontab": {"minute": "30", "hour": "1", "timeZone": "Europe/Oslo"}, "reason": "Nights are quiet."},
        ),
        OpenApiExample("Off", value={"enabled": False}),
    ]
)
class ScheduleInput(PeriodicTaskInput):
    """The body of POST /v1/queue/schedule/{kind}: the fields of a periodic task, and the arguments of the jobs."""

    arguments = serializers.DictField(required=False, help_text="What the JSON schema of the kind describes.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["task"], fields["keywordArguments"]
        fields["name"].required = False
        fields["name"].help_text = "The periodic task; the first one of the kind if missing."
        return fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "At work",
            value={
                "running": True,
                "since": "2026-11-23T06:00:02.104822Z",
                "address": "10.0.0.7",
                "lastTickAt": "2026-11-23T09:59:45.001204Z",
                "nextTask": "sweep",
                "nextDueAt": "2026-11-23T09:59:50.001204Z",
            },
        )
    ]
)
class SchedulerSerializer(serializers.Serializer[SchedulerStatus]):
    """The beat at work."""

    running = serializers.BooleanField(source="is_running", help_text="Whether a beat holds the lock.")
    since = serializers.DateTimeField(allow_null=True, help_text="Since when it is connected to hold the lock.")
    address = serializers.CharField(
        allow_null=True, help_text="From where it is connected; null for a socket of the database's machine."
    )
    lastTickAt = serializers.DateTimeField(source="last_tick_at", allow_null=True)
    nextTask = serializers.SerializerMethodField()
    nextDueAt = serializers.DateTimeField(source="next_due_at", allow_null=True)

    @extend_schema_field({"type": ["string", "null"]})
    def get_nextTask(self, status: SchedulerStatus) -> str | None:  # noqa: N802 - the wire's name
        return status.next_task.name if status.next_task else None
