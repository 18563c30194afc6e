"""Input and output of the endpoints that enqueue jobs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time
from jobs.api.queue_serializers import QueueName
from jobs.api.serializers import tracking_url
from jobs.engine.kinds import JobKind
from jobs.engine.models import Job
from jobs.operations.enqueue import MAX_CORRELATION_ID_LENGTH, MAX_UNIQUE_KEY_LENGTH, TRIGGER_CHOICES, Enqueued
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.operations.priorities import PRIORITY_HELP
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody

LONGEST_WAIT = 30 * 86_400
ENQUEUED = {"jobId": 7, "kind": "cleanup", "queue": "cleanup", "status": "PENDING", "deduplicated": False,
            "replaced": False, "inline": False, "trackingUrl": "/job-status/7"}  # fmt: skip
CLEANUP = {
    "name": "cleanup",
    "summary": "Delete what ended long ago.",
    "queue": "cleanup",
    "ofOrganization": False,
    "attemptSeconds": None,
    "stallSeconds": None,
    "arguments": {"type": "object", "properties": {}, "additionalProperties": False},
}


@extend_schema_serializer(examples=[OpenApiExample("One kind", value={"results": [CLEANUP]})])
class KindsSerializer(serializers.Serializer[dict[str, Any]]):
    """The kinds of jobs that can be enqueued."""

    results = serializers.SerializerMethodField()

    def get_results(self, found: dict[str, list[JobKind]]) -> list[dict[str, Any]]:
        return [
            {
                "name": kind.name,
                "summary": kind.summary,
                "queue": kind.queue,
                "ofOrganization": kind.of_organization,
                "attemptSeconds": kind.attempt_seconds,
                "stallSeconds": kind.stall_seconds,
                "arguments": kind.arguments,
            }
            for kind in found["results"]
        ]


class JobInput(WriteInput):
    """What every body that enqueues a job has."""

    arguments = serializers.DictField(required=False, help_text="What the JSON schema of the kind describes.")
    trigger = serializers.ChoiceField(
        TRIGGER_CHOICES,
        default=Job.Trigger.ADMIN.value,
        help_text="What asks for the job. It decides the priority: event 10, admin 5, schedule 0.",
    )
    organizationId = ReferenceInBody(
        source="organization", required=False, help_text=f"The organization for which the job works. {HOW_TO_NAME}"
    )
    queue = QueueName(required=False, help_text="The queue in which the job waits; that of its kind if missing.")
    priority = serializers.IntegerField(
        required=False, min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, help_text=PRIORITY_HELP
    )
    runAt = Time(source="run_at", required=False, help_text="When the job is due; now if missing.")
    startWithinSeconds = serializers.IntegerField(
        source="start_within",
        required=False,
        min_value=1,
        max_value=LONGEST_WAIT,
        help_text="If the job has not started so many seconds after it is due, it is cancelled.",
    )
    uniqueKey = Text(
        source="unique_key",
        required=False,
        max_length=MAX_UNIQUE_KEY_LENGTH,
        help_text="No second job of the kind has this key.",
    )
    uniqueWhile = serializers.ChoiceField(
        Job.Uniqueness.choices,
        source="unique_while",
        required=False,
        help_text="How long the key holds: open (the default) until the work has ended, waiting until the job starts.",
    )
    replace = StrictBoolean(
        required=False,
        default=False,
        help_text="Whether the job that has the `uniqueKey` gets what this request asks for, if it has not begun.",
    )
    correlationId = Text(
        source="correlation_id",
        required=False,
        max_length=MAX_CORRELATION_ID_LENGTH,
        help_text="The request's X-Request-ID if missing.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample("Now", value={"kind": "cleanup", "reason": "The disk is nearly full."}),
        OpenApiExample(
            "At a later time",
            value={"kind": "cleanup", "trigger": "event", "runAt": "2026-12-01T01:00:00Z"},
        ),
        OpenApiExample(
            "A report, and only once",
            value={
                "kind": "report",
                "organizationId": names.NORWAY,
                "arguments": {"report": "usage", "period": "last-month", "format": "pdf"},
                "uniqueKey": "report of the month",
            },
        ),
    ]
)
class EnqueueInput(JobInput):
    """The body of POST /v1/queue/jobs."""

    kind = Text(max_length=64, help_text="One of GET /v1/queue/kinds.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Now", value={"reason": "The disk is nearly full."}),
        OpenApiExample("By an event", value={"trigger": "event"}),
    ]
)
class NamedJobInput(JobInput):
    """The body of POST /v1/queue/jobs/{kind}, which names the kind in its address."""


@extend_schema_serializer(
    examples=[
        OpenApiExample("Enqueued", value=ENQUEUED, status_codes=[202]),
        OpenApiExample("Open already", value=ENQUEUED | {"deduplicated": True}, status_codes=[200]),
        OpenApiExample("Replaced", value=ENQUEUED | {"deduplicated": True, "replaced": True}, status_codes=[200]),
    ]
)
class EnqueuedSerializer(serializers.Serializer[Enqueued]):
    """The answer of POST /v1/queue/jobs."""

    jobId = serializers.IntegerField(source="job.pk")
    kind = serializers.CharField(source="job.kind")
    queue = serializers.CharField(source="job.queue")
    status = serializers.CharField(source="job.status")
    deduplicated = serializers.BooleanField(
        source="is_deduplicated", help_text="Whether an open job had the unique key, so that no job was created."
    )
    replaced = serializers.BooleanField(
        source="is_replaced", help_text="Whether the job that has the key waits with what this request asks for."
    )
    inline = serializers.BooleanField(
        source="is_inline", help_text="Whether the job ran at once, because a gate of the queue is off."
    )
    trackingUrl = serializers.SerializerMethodField()

    def get_trackingUrl(self, done: Enqueued) -> str:  # noqa: N802 - the wire's name
        return tracking_url(done.job.pk)
