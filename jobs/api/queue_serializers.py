"""Input and output of the endpoints of queues, and of the operations on jobs that need more than a reason."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flagsite.core import example_names as names
from flagsite.core.api.combinations import at_least_one
from flagsite.core.api.input import StrictBoolean, Text, WriteInput
from jobs.engine.models import QUEUE_NAME, QUEUE_NAME_WORDS, Backoff, Queue
from jobs.operations import queue_operations
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.operations.queue_operations import QueueStatus

CHANGEABLE = (
    "concurrency", "maxRetries", "backoffType", "backoffBase", "backoffDelay", "backoffJitter", "rateAllowed",
    "rateSeconds", "fair",
)  # fmt: skip
HELP = {name: str(getattr(Queue, name).field.help_text) for name in queue_operations.SETTINGS}
DEFAULT = {
    "name": "default",
    "paused": True,
    "pausedAt": "2026-11-23T09:59:47.384019Z",
    "pausedBy": "user:olga",
    "pauseReason": "Deploy",
    "concurrency": None,
    "maxRetries": 3,
    "backoffType": "exponential",
    "backoffBase": 2.0,
    "backoffDelay": None,
    "backoffJitter": 0.1,
    "rateAllowed": None,
    "rateSeconds": 60,
    "fair": False,
    "due": 12,
    "later": 1,
    "running": 0,
    "oldestDueAt": "2026-11-23T09:58:01.120481Z",
    "workers": 2,
}


@extend_schema_serializer(examples=[OpenApiExample("A paused queue", value=DEFAULT)])
class QueueSerializer(serializers.Serializer[QueueStatus]):
    """A queue with its settings and the counts of its open jobs."""

    name = serializers.CharField(source="queue.name")
    paused = serializers.SerializerMethodField()
    pausedAt = serializers.DateTimeField(source="queue.paused_at", allow_null=True)
    pausedBy = serializers.CharField(source="queue.paused_by")
    pauseReason = serializers.CharField(source="queue.pause_reason")
    concurrency = serializers.IntegerField(source="queue.concurrency", allow_null=True, help_text="Null: no limit.")
    maxRetries = serializers.IntegerField(source="queue.max_retries")
    backoffType = serializers.ChoiceField(Backoff.choices, source="queue.backoff_type")
    backoffBase = serializers.FloatField(source="queue.backoff_base", help_text=HELP["backoff_base"])
    backoffDelay = serializers.FloatField(
        source="queue.backoff_delay", allow_null=True, help_text=HELP["backoff_delay"]
    )
    backoffJitter = serializers.FloatField(source="queue.backoff_jitter", help_text=HELP["backoff_jitter"])
    rateAllowed = serializers.IntegerField(source="queue.rate_allowed", allow_null=True, help_text=HELP["rate_allowed"])
    rateSeconds = serializers.IntegerField(source="queue.rate_seconds", help_text=HELP["rate_seconds"])
    fair = serializers.BooleanField(source="queue.is_fair", help_text=HELP["is_fair"])
    due = serializers.IntegerField(help_text="Jobs that wait and may start now.")
    later = serializers.IntegerField(help_text="Jobs that wait for a later time.")
    running = serializers.IntegerField()
    oldestDueAt = serializers.DateTimeField(source="oldest_due_at", allow_null=True)
    workers = serializers.IntegerField(help_text="Workers that serve the queue. Without any, due jobs wait.")

    def get_paused(self, status: QueueStatus) -> bool:
        return status.queue.paused_at is not None


@extend_schema_serializer(examples=[OpenApiExample("One queue", value={"results": [DEFAULT]})])
class QueuesSerializer(serializers.Serializer[dict[str, Any]]):
    """All queues."""

    results = QueueSerializer(many=True)


@extend_schema_field({"type": "string", "maxLength": 64, "pattern": "^[a-z0-9][a-z0-9_-]*$"})
class QueueName(Text):
    """The name of a queue."""

    def __init__(self, **options: Any) -> None:
        validators = [RegexValidator(QUEUE_NAME, f"Write {QUEUE_NAME_WORDS}.")]
        super().__init__(max_length=64, validators=validators, **options)


class QueueSettings(WriteInput):
    """The settings of a queue in a body."""

    concurrency = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=10_000, help_text="Null: no limit."
    )
    maxRetries = serializers.IntegerField(source="max_retries", required=False, min_value=0, max_value=10)
    backoffType = serializers.ChoiceField(
        Backoff.choices, source="backoff_type", required=False, help_text=HELP["backoff_type"]
    )
    backoffBase = serializers.FloatField(
        source="backoff_base", required=False, min_value=1, max_value=60, help_text=HELP["backoff_base"]
    )
    backoffDelay = serializers.FloatField(
        source="backoff_delay",
        required=False,
        allow_null=True,
        min_value=0,
        max_value=3600,
        help_text=HELP["backoff_delay"],
    )
    backoffJitter = serializers.FloatField(
        source="backoff_jitter", required=False, min_value=0, max_value=1, help_text=HELP["backoff_jitter"]
    )
    rateAllowed = serializers.IntegerField(
        source="rate_allowed",
        required=False,
        allow_null=True,
        min_value=1,
        max_value=1_000_000,
        help_text=HELP["rate_allowed"],
    )
    rateSeconds = serializers.IntegerField(
        source="rate_seconds", required=False, min_value=1, max_value=86_400, help_text=HELP["rate_seconds"]
    )
    fair = StrictBoolean(source="is_fair", required=False, help_text=HELP["is_fair"])


@extend_schema_serializer(examples=[OpenApiExample("At most four jobs at once", value={"concurrency": 4})])
class QueueChanges(QueueSettings):
    """The body of PATCH /v1/queues/{name}. A missing field does not change."""

    combinations: ClassVar = at_least_one(*CHANGEABLE)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() - {"reason"}:
            raise ValidationError(f"Nothing to change: send one of {', '.join(CHANGEABLE)}.")
        return attrs


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two jobs at once, and 100 starts a minute",
            value={"name": names.NEW_QUEUE, "concurrency": 2, "rateAllowed": 100, "reason": "For the nightly exports"},
        )
    ]
)
class NewQueue(QueueSettings):
    """The body of POST /v1/queues. A missing field gets its default."""

    name = QueueName(help_text=f"{QUEUE_NAME_WORDS.capitalize()}.")


@extend_schema_serializer(examples=[OpenApiExample("Before all others", value={"priority": 50})])
class PriorityInput(WriteInput):
    """The body of POST /v1/jobs/{job_id}/priority."""

    priority = serializers.IntegerField(
        min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, help_text="The highest number starts first."
    )
