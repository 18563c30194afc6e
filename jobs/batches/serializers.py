"""Input and output of the endpoints of batches."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import InputSerializer as PartOfBody
from flagsite.core.api.input import QuerySerializer, StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time
from jobs.api.serializers import tracking_url
from jobs.batches.members import MemberCounts, member_outcome
from jobs.batches.models import Batch, BatchOutcome, FailurePolicy
from jobs.engine.chains import TrackedJob
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations.enqueue import TRIGGER_CHOICES
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.operations.priorities import PRIORITY_HELP
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

MAX_MEMBERS = 10_000
"""The most members that one request creates."""
OPEN = "OPEN"
"""The word for a batch without an outcome, in the filter of the list."""
CREATED = "2026-11-23T09:59:47.723168Z"
BATCH = {
    "batchId": names.BATCH_ID,
    "name": "upkeep",
    "key": "",
    "organizationId": None,
    "outcome": None,
    "final": False,
    "cancelling": False,
    "generation": 1,
    "failurePolicy": "wait_for_all",
    "totalMembers": 2,
    "members": {
        "waiting": 1,
        "running": 0,
        "retrying": 0,
        "succeeded": 0,
        "partial": 0,
        "failed": 1,
        "cancelled": 0,
        "percentEnded": 50,
    },
    "onFinish": None,
    "callbackJobId": None,
    "callbackError": "",
    "trigger": "admin",
    "priority": 5,
    "requestedBy": "command:demo",
    "reason": "Demo data",
    "correlationId": "",
    "cancelledBy": "",
    "cancelReason": "",
    "createdAt": CREATED,
    "finishedAt": None,
    "batchUrl": f"/v1/queue/batches/{names.BATCH_ID}",
}
MEMBER = {
    "jobId": names.FAILED_MEMBER_ID,
    "name": "now",
    "required": False,
    "kind": "cleanup",
    "organizationId": None,
    "status": "FAILED",
    "outcome": "FAILED",
    "attempts": 1,
    "errorMessage": "The disk is full.",
    "result": None,
    "createdAt": CREATED,
    "completedAt": CREATED,
    "canRetry": True,
    "trackingUrl": f"/job-status/{names.FAILED_MEMBER_ID}",
}
NOTHING_ELSE: dict[str, Any] = {"skipped": 0, "skippedBecause": {}, "jobId": None, "trackingUrl": None}


class MemberInput(PartOfBody):
    """A member that a batch shall have."""

    kind = Text(max_length=64, help_text="One of GET /v1/queue/kinds.")
    arguments = serializers.DictField(required=False, help_text="What the JSON schema of the kind describes.")
    organizationId = ReferenceInBody(
        source="organization",
        required=False,
        help_text=f"The organization for which the job works; that of the batch if missing. {HOW_TO_NAME}",
    )
    name = Text(required=False, max_length=200, allow_blank=True, help_text="The name of the member in its batch.")
    required = StrictBoolean(
        source="is_required", required=False, help_text="Whether the batch has FAILED if this member fails."
    )
    runAt = Time(source="run_at", required=False, help_text="When the job is due; now if missing.")


class CallbackInput(PartOfBody):
    """The job that follows the end of each generation of the batch."""

    kind = Text(max_length=64, help_text="One of GET /v1/queue/kinds.")
    arguments = serializers.DictField(
        required=False,
        help_text="What the JSON schema of the kind describes. Flagsite adds `batchId` and `generation` if the schema "
        "has them.",
    )


def _members(help_text: str, **more: Any) -> serializers.ListField:
    return serializers.ListField(child=MemberInput(), max_length=MAX_MEMBERS, help_text=help_text, **more)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two members, and a job that follows",
            value={
                "name": "upkeep",
                "members": [
                    {"kind": "cleanup", "name": "jobs", "arguments": {"only": ["jobs"]}, "required": True},
                    {
                        "kind": "cleanup",
                        "name": "batches, tonight",
                        "arguments": {"only": ["batches"]},
                        "runAt": "2026-12-01T01:00:00Z",
                    },
                ],
                "failurePolicy": "stop_at_first_failure",
                "onFinish": {"kind": "cleanup"},
                "reason": "The disk is nearly full.",
            },
        ),
        OpenApiExample("Only one with this key", value={"name": "upkeep", "key": "upkeep", "members": []}),
    ]
)
class BatchInput(WriteInput):
    """The body of POST /v1/queue/batches."""

    name = Text(max_length=200, help_text="What the batch is for, in a few words.")
    members = _members("The members. A batch without members ends at once.")
    key = Text(
        required=False,
        max_length=100,
        help_text="While a batch of the same organization with this key is open, no second one is created.",
    )
    organizationId = ReferenceInBody(
        source="organization",
        required=False,
        help_text=f"The organization of the batch. All members work for it or below it. {HOW_TO_NAME}",
    )
    failurePolicy = serializers.ChoiceField(
        FailurePolicy.choices,
        source="failure_policy",
        required=False,
        help_text="wait_for_all (the default): the others go on after a failure. stop_at_first_failure: they are "
        "cancelled.",
    )
    onFinish = CallbackInput(source="on_finish", required=False)
    trigger = serializers.ChoiceField(
        TRIGGER_CHOICES,
        default=Job.Trigger.ADMIN.value,
        help_text="What asks for the batch. It decides the priority: event 10, admin 5, schedule 0.",
    )
    priority = serializers.IntegerField(
        required=False, min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, help_text=PRIORITY_HELP
    )
    correlationId = Text(
        source="correlation_id", required=False, max_length=128, help_text="The request's X-Request-ID if missing."
    )


@extend_schema_serializer(
    examples=[OpenApiExample("One more", value={"members": [{"kind": "cleanup", "arguments": {"olderThanDays": 365}}]})]
)
class AddMembersInput(WriteInput):
    """The body of POST /v1/queue/batches/{batch_id}/members."""

    members = _members("The members to add.", min_length=1)


class BatchFilters(QuerySerializer):
    """The filters of the list of batches."""

    outcome = serializers.ChoiceField(
        [(OPEN, "Still open"), *BatchOutcome.choices], required=False, help_text="OPEN: batches that have not ended."
    )
    key = serializers.CharField(required=False, max_length=100, help_text="Batches with this key.")
    organizationId = ReferenceInQuery(
        source="organization_id", required=False, help_text="Batches of this organization."
    )


class MemberFilters(QuerySerializer):
    """The filters of the list of members."""

    status = serializers.ChoiceField(Status.choices, required=False, help_text="Members whose work stands like this.")


class MemberCountsSerializer(serializers.Serializer[MemberCounts]):
    """The number of members that stand in each way."""

    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    retrying = serializers.IntegerField(help_text="An attempt failed, and a retry waits or runs.")
    succeeded = serializers.IntegerField()
    partial = serializers.IntegerField(help_text="COMPLETED, but not for all organizations.")
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    percentEnded = serializers.IntegerField(source="percent_ended")


@extend_schema_serializer(examples=[OpenApiExample("Half done", value=BATCH, status_codes=[200, 202])])
class BatchSerializer(serializers.Serializer[Batch]):
    """A batch with its progress. The context needs `counts`: the counts of the members by the id of the batch."""

    batchId = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    key = serializers.CharField()
    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    outcome = serializers.SerializerMethodField(help_text="Null while it is open.")
    final = serializers.SerializerMethodField(
        help_text="Whether nothing changes by itself any more, so that you can stop polling."
    )
    cancelling = serializers.BooleanField(
        source="is_stopping", help_text="Whether the open members are about to be cancelled."
    )
    generation = serializers.IntegerField(help_text="1, and one more each time that a retry has opened it again.")
    failurePolicy = serializers.ChoiceField(FailurePolicy.choices, source="failure_policy")
    totalMembers = serializers.IntegerField(source="total")
    members = serializers.SerializerMethodField(help_text="The number of members that stand in each way.")
    onFinish = serializers.SerializerMethodField(help_text="The job that follows the end. Null if none follows.")
    callbackJobId = serializers.IntegerField(
        source="callback_job_id", allow_null=True, help_text="The job that followed the latest end."
    )
    callbackError = serializers.CharField(source="callback_error", help_text="Why no job could follow.")
    trigger = serializers.ChoiceField(Job.Trigger.choices)
    priority = serializers.IntegerField()
    requestedBy = serializers.CharField(source="requested_by")
    reason = serializers.CharField()
    correlationId = serializers.CharField(source="correlation_id")
    cancelledBy = serializers.CharField(source="cancelled_by")
    cancelReason = serializers.CharField(source="cancel_reason")
    createdAt = serializers.DateTimeField(source="created_at")
    finishedAt = serializers.DateTimeField(source="finished_at", allow_null=True)
    batchUrl = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(BatchOutcome.choices, allow_null=True))
    def get_outcome(self, batch: Batch) -> str | None:
        return batch.outcome or None

    def get_final(self, batch: Batch) -> bool:
        return not batch.is_open

    @extend_schema_field(MemberCountsSerializer)
    def get_members(self, batch: Batch) -> dict[str, Any]:
        return dict(MemberCountsSerializer(self.context["counts"][batch.pk]).data)

    def get_onFinish(self, batch: Batch) -> dict[str, Any] | None:  # noqa: N802 - the wire's name
        if not batch.on_finish_kind:
            return None
        return {"kind": batch.on_finish_kind, "arguments": batch.on_finish_arguments}

    def get_batchUrl(self, batch: Batch) -> str:  # noqa: N802
        return batch_url(batch)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Created", value=BATCH | {"deduplicated": False}, status_codes=[202]),
        OpenApiExample("Open already", value=BATCH | {"deduplicated": True}, status_codes=[200]),
    ]
)
class CreatedBatchSerializer(BatchSerializer):
    """The answer of POST /v1/queue/batches. The context also needs `deduplicated`."""

    deduplicated = serializers.SerializerMethodField(
        help_text="Whether an open batch had the key, so that no batch was created."
    )

    def get_deduplicated(self, batch: Batch) -> bool:
        return bool(self.context["deduplicated"])


@extend_schema_serializer(examples=[OpenApiExample("A member that failed", value=MEMBER)])
class MemberSerializer(serializers.Serializer[TrackedJob]):
    """A member of a batch: how the work of its chain stands."""

    jobId = serializers.IntegerField(source="job.pk", help_text="The first job of the member.")
    name = serializers.CharField(source="job.member_name")
    required = serializers.BooleanField(source="job.is_required")
    kind = serializers.CharField(source="job.kind")
    organizationId = serializers.IntegerField(source="job.organization_id", allow_null=True)
    status = serializers.ChoiceField(Status.choices, source="standing.status")
    outcome = serializers.SerializerMethodField(help_text="Null while it is open.")
    attempts = serializers.SerializerMethodField(help_text="How often it was tried.")
    errorMessage = serializers.CharField(source="standing.error_message", allow_null=True)
    result = serializers.JSONField(source="standing.result", help_text="What the work has found or done.")
    createdAt = serializers.DateTimeField(source="job.created_at")
    completedAt = serializers.DateTimeField(source="standing.completed_at", allow_null=True)
    canRetry = serializers.BooleanField(
        source="chain.can_retry", help_text="Whether POST /retry-job would start a new round of attempts now."
    )
    trackingUrl = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(BatchOutcome.choices, allow_null=True))
    def get_outcome(self, tracked: TrackedJob) -> str | None:
        return member_outcome(tracked.standing) or None

    def get_attempts(self, tracked: TrackedJob) -> int:
        return tracked.job.retry_count + 1

    def get_trackingUrl(self, tracked: TrackedJob) -> str:  # noqa: N802
        return tracking_url(tracked.job.pk)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Under way", value=BATCH | NOTHING_ELSE | {"done": 1}, status_codes=[202]),
        OpenApiExample(
            "Ended",
            value=BATCH
            | NOTHING_ELSE
            | {"done": 1, "outcome": "CANCELLED", "final": True, "finishedAt": CREATED, "cancelledBy": names.KEY_ACTOR},
            status_codes=[200],
        ),
    ]
)
class BatchOperationSerializer(BatchSerializer):
    """The batch after an operation on its members. The context also needs `done`: the `BatchOperation`."""

    done = serializers.SerializerMethodField(help_text="The members that were retried or cancelled.")
    skipped = serializers.SerializerMethodField(help_text="The members that somebody else has changed meanwhile.")
    skippedBecause = serializers.SerializerMethodField(help_text="The number of skipped members for each reason.")
    jobId = serializers.SerializerMethodField(help_text="The job that does it, if the members are many; else null.")
    trackingUrl = serializers.SerializerMethodField()

    def get_done(self, batch: Batch) -> int:
        return int(self.context["done"].result.count)

    def get_skipped(self, batch: Batch) -> int:
        return int(self.context["done"].result.skipped.total())

    def get_skippedBecause(self, batch: Batch) -> dict[str, int]:  # noqa: N802
        return dict(self.context["done"].result.skipped)

    def get_jobId(self, batch: Batch) -> int | None:  # noqa: N802
        job: Job | None = self.context["done"].job
        return job.pk if job else None

    def get_trackingUrl(self, batch: Batch) -> str | None:  # noqa: N802
        job: Job | None = self.context["done"].job
        return tracking_url(job.pk) if job else None


def batch_url(batch: Batch) -> str:
    """The URL path of the batch."""
    return reverse("batch", args=[batch.pk])
