"""The serializers of the jobs' endpoints: request bodies, queries and answers."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flagsite.core.api.input import QuerySerializer
from jobs.engine.chains import Chain
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import Status
from orgs.tree.models import Organization

STARTED = "2026-11-23T09:59:47.723168Z"
ENDED = "2026-11-23T09:59:48.765712Z"
RUNNING = {
    "id": 7,
    "organizationId": 1,
    "featureFlagName": "new-checkout",
    "enabled": True,
    "status": "IN_PROGRESS",
    "totalOrganizations": 5270,
    "processedOrganizations": 2120,
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
    "nextRetryAt": None,
    "chain": {"rootJobId": 7, "latestJobId": 7, "status": "IN_PROGRESS"},
}
ATTEMPT = {
    "id": 7,
    "status": "FAILED",
    "retryCount": 1,
    "maxRetries": 3,
    "parentJobId": None,
    "errorMessage": "The worker host:41:5c2e did not renew the lease in time; it has probably died.",
    "createdAt": STARTED,
    "completedAt": ENDED,
    "trigger": "request",
}
RETRIED = {
    "originalJobId": 7,
    "retryJobId": 11,
    "message": "Job retry initiated successfully",
    "trackingUrl": "/job-status/11",
}
CANCELLED = {"jobId": 7, "status": "CANCELLED", "message": "Job cancelled", "trackingUrl": "/job-status/7"}
FAILED = {
    "organizationId": 4,
    "organizationKey": "acme-oslo",
    "organizationName": "Oslo",
    "error": "value out of range",
    "createdAt": ENDED,
}


class JobFilters(QuerySerializer):
    """The query of GET /jobs/{orgId}."""

    status = serializers.ChoiceField(Status.choices, required=False, help_text="Only jobs with this status.")


class ChainSerializer(serializers.Serializer[Chain]):
    """The chain of a first job and its retries."""

    rootJobId = serializers.IntegerField(source="root_job_id", help_text="The first job.")
    latestJobId = serializers.IntegerField(source="latest_job_id", help_text="The latest attempt.")
    status = serializers.ChoiceField(Status.choices, help_text="RETRYING while a retry waits or runs.")


@extend_schema_serializer(examples=[OpenApiExample("A job that runs", value=RUNNING)])
class JobSerializer(serializers.Serializer[Job]):
    """A job in an answer. The context needs `chains`: the chains by the id of their first job."""

    id = serializers.IntegerField()
    organizationId = serializers.IntegerField(source="organization_id")
    featureFlagName = serializers.SerializerMethodField(
        help_text="Null if the job concerns several flags, after a move."
    )
    enabled = serializers.SerializerMethodField(help_text="Null if the job sets no value, such as a purge.")
    status = serializers.ChoiceField(Status.choices)
    totalOrganizations = serializers.IntegerField(source="total", allow_null=True, help_text="Null before it starts.")
    processedOrganizations = serializers.IntegerField(source="processed")
    failedOrganizations = serializers.IntegerField(source="failed")
    supersededOrganizations = serializers.IntegerField(
        source="superseded", help_text="The processed organizations that had a newer value already."
    )
    errorMessage = serializers.CharField(source="error_message", allow_null=True)
    retryCount = serializers.IntegerField(
        source="retry_count", help_text="For the first job, the number of its retries. For a retry, its own number."
    )
    maxRetries = serializers.IntegerField(source="max_retries")
    parentJobId = serializers.IntegerField(source="parent_job_id", allow_null=True, help_text="The chain's first job.")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")
    startedAt = serializers.DateTimeField(source="started_at", allow_null=True)
    completedAt = serializers.DateTimeField(source="completed_at", allow_null=True)
    nextRetryAt = serializers.SerializerMethodField(help_text="Null if no retry waits for its time.")
    chain = serializers.SerializerMethodField()

    def get_featureFlagName(self, job: Job) -> str | None:  # noqa: N802 - the wire's name
        return job.arguments.get("featureFlagName")

    def get_enabled(self, job: Job) -> bool | None:
        return job.arguments.get("enabled")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_nextRetryAt(self, job: Job) -> Any:  # noqa: N802
        chain: Chain = self.context["chains"][job.root_id]
        return serializers.DateTimeField().to_representation(chain.next_retry_at(job))

    @extend_schema_field(ChainSerializer)
    def get_chain(self, job: Job) -> dict[str, Any]:
        return ChainSerializer(self.context["chains"][job.root_id]).data


@extend_schema_serializer(examples=[OpenApiExample("A first attempt", value=ATTEMPT)])
class AttemptSerializer(serializers.Serializer[Job]):
    """An attempt of a chain."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(Status.choices)
    retryCount = serializers.IntegerField(source="retry_count")
    maxRetries = serializers.IntegerField(source="max_retries")
    parentJobId = serializers.IntegerField(source="parent_job_id", allow_null=True)
    errorMessage = serializers.CharField(source="error_message", allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at")
    completedAt = serializers.DateTimeField(source="completed_at", allow_null=True)
    trigger = serializers.ChoiceField(Job.Trigger.choices, help_text="What created this attempt.")


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
