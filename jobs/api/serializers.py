"""The serializers of the jobs' endpoints: request bodies, queries and answers."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer
from jobs.artifacts.serializers import ArtifactSerializer
from jobs.engine.chains import Chain, TrackedJob
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import ATTEMPT_STATUSES, Status
from orgs.tree.models import Organization

STARTED = "2026-11-23T09:59:47.723168Z"
ENDED = "2026-11-23T09:59:48.765712Z"
RUNNING = {
    "id": names.WAITING_JOB_ID,
    "organizationId": names.NORWAY_ID,
    "featureFlagName": names.SALE_FLAG,
    "enabled": True,
    "status": "IN_PROGRESS",
    "totalOrganizations": 12,
    "processedOrganizations": 5,
    "failedOrganizations": 0,
    "supersededOrganizations": 0,
    "errorMessage": None,
    "retryCount": 0,
    "maxRetries": 3,
    "parentJobId": None,
    "createdAt": STARTED,
    "updatedAt": ENDED,
    "startedAt": STARTED,
    "completedAt": None,
    "final": False,
    "willRetry": False,
    "canRetry": False,
    "runAt": STARTED,
    "nextRetryAt": None,
    "kind": "propagation",
    "queue": "propagation",
    "priority": 0,
    "trigger": "request",
    "requestedBy": names.KEY_ACTOR,
    "correlationId": "nightly-2026-11-23",
    "batchId": None,
    "attempt": {
        "status": "IN_PROGRESS",
        "totalOrganizations": 12,
        "processedOrganizations": 5,
        "failedOrganizations": 0,
        "errorMessage": None,
        "startedAt": STARTED,
        "completedAt": None,
    },
    "chain": {"rootJobId": names.WAITING_JOB_ID, "latestJobId": names.WAITING_JOB_ID, "status": "IN_PROGRESS"},
    "result": None,
    "artifacts": [],
}
WORKER_DIED = "The worker host:41:5c2e did not renew the lease in time; it has probably died."
FAILED_ATTEMPT = {
    "status": "FAILED",
    "totalOrganizations": 12,
    "processedOrganizations": 5,
    "failedOrganizations": 0,
    "errorMessage": WORKER_DIED,
    "startedAt": STARTED,
    "completedAt": ENDED,
}
HEALED = RUNNING | {
    "status": "COMPLETED",
    "processedOrganizations": 12,
    "retryCount": 1,
    "completedAt": ENDED,
    "final": True,
    "attempt": FAILED_ATTEMPT,
    "chain": {"rootJobId": names.WAITING_JOB_ID, "latestJobId": 11, "status": "COMPLETED"},
}
ATTEMPT = {
    "id": names.WAITING_JOB_ID,
    "status": "FAILED",
    "retryCount": 1,
    "maxRetries": 3,
    "parentJobId": None,
    "errorMessage": WORKER_DIED,
    "createdAt": STARTED,
    "runAt": STARTED,
    "completedAt": ENDED,
    "trigger": "request",
    "attempt": FAILED_ATTEMPT,
}
RETRIED = {
    "originalJobId": names.FAILED_JOB_ID,
    "retryJobId": 11,
    "message": "Job retry initiated successfully",
    "trackingUrl": "/job-status/11",
}
CANCELLED = {
    "jobId": names.LATER_JOB_ID,
    "status": "CANCELLED",
    "message": "Job cancelled",
    "trackingUrl": f"/job-status/{names.LATER_JOB_ID}",
}
FAILED = {
    "organizationId": names.OSLO_ID,
    "organizationKey": names.OSLO,
    "organizationName": "Oslo",
    "error": "value out of range",
    "createdAt": ENDED,
}


class JobFilters(QuerySerializer):
    """The query of GET /jobs/{orgId}."""

    status = serializers.ChoiceField(Status.choices, required=False, help_text="Only jobs with this status.")


class QueueJobFilters(JobFilters):
    """The query of GET /v1/queue/jobs."""

    queue = serializers.CharField(required=False, max_length=64, help_text="Only jobs of this queue.")
    correlationId = serializers.CharField(
        source="correlation_id", required=False, max_length=128, help_text="Only jobs with this correlation id."
    )


class ChainSerializer(serializers.Serializer[Chain]):
    """The chain of a first job and its retries."""

    rootJobId = serializers.IntegerField(source="root_job_id", help_text="The first job.")
    latestJobId = serializers.IntegerField(source="latest_job_id", help_text="The latest attempt.")
    status = serializers.ChoiceField(Status.choices, help_text="RETRYING while a retry waits or runs.")


class AttemptEndSerializer(serializers.Serializer[Job]):
    """One attempt by itself, whatever later attempts of its chain did."""

    status = serializers.ChoiceField(
        ATTEMPT_STATUSES, source="attempt_status", help_text="How the attempt ended, or PENDING or IN_PROGRESS."
    )
    totalOrganizations = serializers.IntegerField(source="total", allow_null=True)
    processedOrganizations = serializers.IntegerField(source="processed")
    failedOrganizations = serializers.IntegerField(source="failed")
    errorMessage = serializers.CharField(source="error_message", allow_null=True)
    startedAt = serializers.DateTimeField(source="started_at", allow_null=True)
    completedAt = serializers.DateTimeField(source="completed_at", allow_null=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample("A job that runs", value=RUNNING),
        OpenApiExample("A job whose first attempt failed, and that a retry completed", value=HEALED),
    ]
)
class JobSerializer(serializers.Serializer[TrackedJob]):
    """How the work of a job stands.

    If a later attempt of the chain follows the job, the status, the counts and the error are those of the chain.
    """

    id = serializers.IntegerField(source="job.pk")
    organizationId = serializers.IntegerField(
        source="job.organization_id", allow_null=True, help_text="Null if the job concerns no organization, as a purge."
    )
    featureFlagName = serializers.SerializerMethodField(
        help_text="Null if the job concerns several flags, after a move."
    )
    enabled = serializers.SerializerMethodField(help_text="Null if the job sets no value, such as a purge.")
    status = serializers.ChoiceField(
        Status.choices,
        source="standing.status",
        help_text="How the work stands. RETRYING: an attempt failed, and a retry waits or runs. COMPLETED also if a "
        "retry completed the work.",
    )
    totalOrganizations = serializers.IntegerField(
        source="standing.total", allow_null=True, help_text="Null before it starts."
    )
    processedOrganizations = serializers.IntegerField(source="standing.processed")
    failedOrganizations = serializers.IntegerField(source="standing.failed")
    supersededOrganizations = serializers.IntegerField(
        source="standing.superseded", help_text="The processed organizations that had a newer value already."
    )
    errorMessage = serializers.CharField(source="standing.error_message", allow_null=True)
    retryCount = serializers.IntegerField(
        source="job.retry_count",
        help_text="For the first job, the number of its retries. For a retry, its own number.",
    )
    maxRetries = serializers.IntegerField(
        source="max_retries",
        help_text="The automatic retries that the queue allows. At most `retryCount` if the job has FAILED, because "
        "Flagsite does not retry it any more.",
    )
    parentJobId = serializers.IntegerField(
        source="job.parent_job_id", allow_null=True, help_text="The chain's first job."
    )
    createdAt = serializers.DateTimeField(source="job.created_at")
    updatedAt = serializers.DateTimeField(source="standing.updated_at")
    startedAt = serializers.DateTimeField(source="job.started_at", allow_null=True)
    completedAt = serializers.DateTimeField(
        source="standing.completed_at", allow_null=True, help_text="Null until the work has ended."
    )
    final = serializers.BooleanField(
        source="standing.is_final",
        help_text="Whether nothing changes by itself any more, so that you can stop polling.",
    )
    willRetry = serializers.BooleanField(
        source="standing.will_retry", help_text="Whether an attempt failed and Flagsite tries again by itself."
    )
    canRetry = serializers.BooleanField(
        source="chain.can_retry", help_text="Whether POST /retry-job would start a new round of attempts now."
    )
    runAt = serializers.DateTimeField(
        source="job.run_at", help_text="When this attempt is due, or was due: it does not start before."
    )
    nextRetryAt = serializers.DateTimeField(
        source="next_retry_at", allow_null=True, help_text="Null if no retry waits for its time."
    )
    kind = serializers.CharField(source="job.kind", help_text="The type of work, such as propagation.")
    queue = serializers.CharField(source="job.queue")
    priority = serializers.IntegerField(source="job.priority", help_text="Higher runs first.")
    trigger = serializers.ChoiceField(Job.Trigger.choices, source="job.trigger", help_text="What created this attempt.")
    requestedBy = serializers.CharField(source="job.requested_by", help_text="The actor who requested this attempt.")
    correlationId = serializers.CharField(
        source="job.correlation_id", help_text="The X-Request-ID of the request that created the job."
    )
    batchId = serializers.IntegerField(
        source="job.batch_id", allow_null=True, help_text="The batch to which the job belongs. Null for most jobs."
    )
    result = serializers.JSONField(
        source="standing.result", help_text="What the work has found or done. Null for most kinds."
    )
    artifacts = ArtifactSerializer(many=True, help_text="The files that the work has made, when it has ended.")
    attempt = AttemptEndSerializer(source="job", help_text="This attempt by itself.")
    chain = ChainSerializer()

    def get_featureFlagName(self, tracked: TrackedJob) -> str | None:  # noqa: N802 - the wire's name
        return tracked.job.arguments.get("featureFlagName")

    def get_enabled(self, tracked: TrackedJob) -> bool | None:
        return tracked.job.arguments.get("enabled")


@extend_schema_serializer(examples=[OpenApiExample("A first attempt", value=ATTEMPT)])
class AttemptSerializer(serializers.Serializer[Job]):
    """An attempt of a chain, by itself."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(
        ATTEMPT_STATUSES, source="attempt_status", help_text="How this attempt ended, or PENDING or IN_PROGRESS."
    )
    retryCount = serializers.IntegerField(source="retry_count")
    maxRetries = serializers.IntegerField(source="max_retries")
    parentJobId = serializers.IntegerField(source="parent_job_id", allow_null=True)
    errorMessage = serializers.CharField(source="error_message", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")
    runAt = serializers.DateTimeField(source="run_at", help_text="When the attempt is due, or was due.")
    completedAt = serializers.DateTimeField(source="completed_at", allow_null=True)
    trigger = serializers.ChoiceField(Job.Trigger.choices, help_text="What created this attempt.")
    attempt = AttemptEndSerializer(source="*")


@extend_schema_serializer(examples=[OpenApiExample("Retried", value=RETRIED, status_codes=[202])])
class RetryStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of POST /retry-job."""

    originalJobId = serializers.IntegerField(help_text="The job in the request.")
    retryJobId = serializers.IntegerField(help_text="The new attempt.")
    message = serializers.CharField()
    trackingUrl = serializers.CharField()


@extend_schema_serializer(examples=[OpenApiExample("Cancelled", value=CANCELLED, status_codes=[200])])
class CancelledSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of POST /cancel-job."""

    jobId = serializers.IntegerField(help_text="The cancelled attempt of the chain.")
    status = serializers.ChoiceField(Status.choices)
    message = serializers.CharField()
    trackingUrl = serializers.CharField()


@extend_schema_serializer(examples=[OpenApiExample("One that failed", value=FAILED)])
class FailureSerializer(serializers.Serializer[JobFailure]):
    """An organization that failed in a job. The context needs `organizations`: the existing organizations by id."""

    organizationId = serializers.IntegerField(source="organization_id")
    organizationKey = serializers.SerializerMethodField(help_text="Null if the organization is deleted.")
    organizationName = serializers.SerializerMethodField(help_text="Null if the organization is deleted.")
    error = serializers.CharField()
    createdAt = serializers.DateTimeField(source="created_at")

    def get_organizationKey(self, failure: JobFailure) -> str | None:  # noqa: N802
        return getattr(self._organization(failure), "key", None)

    def get_organizationName(self, failure: JobFailure) -> str | None:  # noqa: N802
        return getattr(self._organization(failure), "name", None)

    def _organization(self, failure: JobFailure) -> Organization | None:
        organizations: dict[int, Organization] = self.context["organizations"]
        return organizations.get(failure.organization_id)


def tracking_url(job_id: int) -> str:
    """The URL path of the job's status."""
    return reverse("job-status", args=[job_id])
