"""Addresses under /v1/queue of what has an address of its own too, for clients that expect all of it in one place."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from flagsite.core.db.snapshot import snapshot
from flagsite.core.ids import id_in
from jobs.api.enqueue import EnqueueJob
from jobs.api.enqueue_serializers import EnqueuedSerializer, NamedJobInput
from jobs.api.operations import Workers
from jobs.api.queue_serializers import QueueSerializer
from jobs.api.queues import NAME, PauseQueue, ResumeQueue
from jobs.api.serializers import CancelledSerializer, JobSerializer, QueueJobFilters
from jobs.api.views import CancelJob, JobStatus
from jobs.api.worker_serializers import WorkersSerializer
from jobs.engine.chains import jobs_of, tracked
from jobs.errors import JobNotFound
from orgs.access.endpoints import ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

JOB = OpenApiParameter(
    "job", {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"}, OpenApiParameter.PATH, description="The id of a job."
)
KIND = OpenApiParameter(
    "job",
    {"type": "string", "maxLength": 64, "pattern": "^[^/]+$"},
    OpenApiParameter.PATH,
    description="A kind of jobs: one of GET /v1/queue/kinds, or its other name such as `etl`, `batch-prediction`.",
)


class QueueJobs(EnqueueJob, ListEndpoint):
    """All jobs, and the entry of a job into a queue."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR}
    rows_outlive_organizations = True

    @extend_schema(
        operation_id="listQueueJobs",
        summary="List jobs",
        parameters=[QueueJobFilters],
        responses=JobSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """The jobs, newest first, also those that work for no organization.

        A bound access key gets the jobs of its subtree.
        """
        filters = self.filters(request, QueueJobFilters)
        with snapshot():
            jobs = tracked(self.rows(request, jobs_of(self.caller).filter(**filters).order_by("-id")))
        return self.page(JobSerializer, jobs)


class OneQueueJob(EnqueueJob, JobStatus, CancelJob):
    """A job by its id, or the entry of a job by the name of its kind."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR, "DELETE": Role.OPERATOR}

    @extend_schema(
        operation_id="getQueueJob", summary="Follow a job", parameters=[JOB], responses=JobSerializer, tags=["jobs"]
    )
    def get(self, request: Request, job: str) -> Response:  # type: ignore[override] # POST has a name there
        """The same as `GET /job-status/{job_id}`."""
        QuerySerializer.read(request)
        return self.standing(_id(job))

    @extend_schema(
        operation_id="enqueueJobOfKind",
        summary="Enqueue a job of a kind",
        parameters=[KIND],
        request=NamedJobInput,
        responses={200: EnqueuedSerializer, 202: EnqueuedSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, job: str) -> Response:
        """The same as `POST /v1/queue/jobs`, with the kind in the address."""
        return self.enqueue({**NamedJobInput.read(request), "kind": job})

    @extend_schema(
        operation_id="deleteQueueJob",
        summary="Cancel a job",
        parameters=[JOB],
        request=ReasonInput,
        responses={200: CancelledSerializer, 202: CancelledSerializer},
        tags=["jobs"],
    )
    @idempotent
    def delete(self, request: Request, job: str) -> Response:
        """The same as `POST /cancel-job/{job_id}`: 200 if the job waited, 202 if it runs, 409 if it has ended."""
        return self.cancel(request, _id(job))


class QueueWorkers(Workers):
    """All workers."""

    @extend_schema(
        operation_id="listQueueWorkers", summary="Read the workers", responses=WorkersSerializer, tags=["jobs"]
    )
    def get(self, request: Request) -> Response:
        """The same as `GET /v1/workers`."""
        return self.all_workers()


class PauseOneQueue(PauseQueue):
    """The pause of a queue."""

    @extend_schema(
        operation_id="pauseOneQueue",
        summary="Pause a queue",
        request=ReasonInput,
        parameters=[NAME],
        responses=QueueSerializer,
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """The same as `POST /v1/queues/{name}/pause`."""
        return self.pause(request, name)


class ResumeOneQueue(ResumeQueue):
    """The end of a pause."""

    @extend_schema(
        operation_id="resumeOneQueue",
        summary="Resume a queue",
        request=ReasonInput,
        parameters=[NAME],
        responses=QueueSerializer,
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """The same as `POST /v1/queues/{name}/resume`."""
        return self.resume(request, name)


def _id(text: str) -> int:
    number = id_in(text)
    if number is None:
        raise JobNotFound
    return number
