"""Input and output of the operations on many jobs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time
from jobs.api.serializers import tracking_url
from jobs.operations import cleanup
from jobs.operations.bulk import BulkResult
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody

NO_JOB: dict[str, Any] = {"jobId": None, "trackingUrl": None}
RETRIED = {"dryRun": False, "wouldRetry": None, "retried": 12, "skipped": 1,
           "skippedBecause": {"were under way already": 1}, **NO_JOB}  # fmt: skip
WOULD_RETRY: dict[str, Any] = {
    "dryRun": True,
    "wouldRetry": 13,
    "retried": 0,
    "skipped": 0,
    "skippedBecause": {},
    **NO_JOB,
}
MANY = WOULD_RETRY | {"dryRun": False, "wouldRetry": 5270, "jobId": 41, "trackingUrl": "/job-status/41"}
OLD = {"completed": 1204, "cancelled": 3, "failed": 17, "others": {"schedules": 4}}
DRY_RUN_HELP = "Only count; change nothing."


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "After a bad deploy",
            value={
                "organizationId": names.NORWAY,
                "since": "2026-11-23T09:00:00Z",
                "reason": "The release is rolled back.",
            },
        ),
        OpenApiExample("Only count", value={"dryRun": True}),
    ]
)
class RetryFailedInput(WriteInput):
    """The body of POST /v1/jobs/retry-failed. Without filters, it retries all failed jobs that the caller may see."""

    organizationId = ReferenceInBody(
        source="organization", required=False, help_text=f"Jobs of the subtree of this organization. {HOW_TO_NAME}"
    )
    queue = Text(max_length=64, required=False, help_text="Jobs of this queue.")
    since = Time(required=False, help_text="Jobs whose latest attempt ended then or later.")
    dryRun = StrictBoolean(source="dry_run", default=False, help_text=DRY_RUN_HELP)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Retried", value=RETRIED, status_codes=[200]),
        OpenApiExample("Only counted", value=WOULD_RETRY, status_codes=[200]),
        OpenApiExample("A job retries them", value=MANY, status_codes=[202]),
    ]
)
class RetryFailedSerializer(serializers.Serializer[dict[str, Any]]):
    """What POST /v1/jobs/retry-failed has done."""

    dryRun = serializers.BooleanField(source="dry_run")
    wouldRetry = serializers.SerializerMethodField(
        help_text="The chains that a dry run has found, or that the job retries. Null if they are retried."
    )
    retried = serializers.SerializerMethodField(help_text="The chains in which a new round of attempts has begun.")
    skipped = serializers.SerializerMethodField(help_text="The chains that somebody else has changed meanwhile.")
    skippedBecause = serializers.SerializerMethodField(help_text="The number of skipped chains for each reason.")
    jobId = serializers.SerializerMethodField(help_text="The job that retries the chains. Null if there is none.")
    trackingUrl = serializers.SerializerMethodField()

    def get_wouldRetry(self, done: dict[str, Any]) -> int | None:  # noqa: N802 - the wire's name
        return done["job"].total if done.get("job") else done.get("would_retry")

    def get_retried(self, done: dict[str, Any]) -> int:
        return _result(done).count

    def get_skipped(self, done: dict[str, Any]) -> int:
        return _result(done).skipped.total()

    def get_skippedBecause(self, done: dict[str, Any]) -> dict[str, int]:  # noqa: N802
        return dict(_result(done).skipped)

    def get_jobId(self, done: dict[str, Any]) -> int | None:  # noqa: N802
        return done["job"].pk if done.get("job") else None

    def get_trackingUrl(self, done: dict[str, Any]) -> str | None:  # noqa: N802
        return tracking_url(done["job"].pk) if done.get("job") else None


@extend_schema_serializer(
    examples=[
        OpenApiExample("Only count", value={"dryRun": True}),
        OpenApiExample("Sessions of long ago", value={"only": ["sessions"], "olderThanDays": 90}),
    ]
)
class CleanUpInput(WriteInput):
    """The body of POST /v1/jobs/clean-up. A request without a body is accepted too."""

    dryRun = StrictBoolean(source="dry_run", default=False, help_text=DRY_RUN_HELP)
    only = serializers.ListField(
        child=serializers.ChoiceField(choices=cleanup.ROW_NAMES),
        default=list,
        help_text="What to delete. By default everything that is old.",
    )
    olderThanDays = serializers.IntegerField(
        source="days",
        default=None,
        allow_null=True,
        min_value=1,
        max_value=36_500,
        help_text="Delete what ended more than so many days ago, whatever the settings say.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample("Only counted", value={"dryRun": True, **OLD, **NO_JOB}, status_codes=[200]),
        OpenApiExample(
            "A job deletes them",
            value={"dryRun": False, **OLD, "jobId": 41, "trackingUrl": "/job-status/41"},
            status_codes=[202],
        ),
    ]
)
class CleanUpSerializer(serializers.Serializer[dict[str, Any]]):
    """What is old enough now, and the job that deletes it."""

    dryRun = serializers.BooleanField(source="dry_run")
    completed = serializers.IntegerField(source="old.completed", help_text="Chains that COMPLETED long ago.")
    cancelled = serializers.IntegerField(source="old.cancelled")
    failed = serializers.IntegerField(source="old.failed")
    others = serializers.DictField(
        child=serializers.IntegerField(), source="old.others", help_text="Other old rows, by their name."
    )
    jobId = serializers.IntegerField(source="job.pk", allow_null=True, default=None, help_text="Null in a dry run.")
    trackingUrl = serializers.SerializerMethodField()

    def get_trackingUrl(self, done: dict[str, Any]) -> str | None:  # noqa: N802
        return tracking_url(done["job"].pk) if done["job"] else None


def _result(done: dict[str, Any]) -> BulkResult:
    return done.get("result") or BulkResult()
