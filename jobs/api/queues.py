"""The endpoints of queues, and of the operations on jobs that need more than a reason."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.api.queue_serializers import PriorityInput, QueueChanges, QueueSerializer, QueuesSerializer
from jobs.engine.chains import job_for
from jobs.operations import job_operations, queue_operations
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

NAME = OpenApiParameter("name", {"type": "string", "maxLength": 64, "pattern": "^[^/]+$"}, OpenApiParameter.PATH)
THE_QUEUES = "the queues"


class Queues(Endpoint):
    """All queues."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(operation_id="listQueues", summary="Read the queues", responses=QueuesSerializer, tags=["jobs"])
    def get(self, request: Request) -> Response:
        """All queues with their settings and the counts of their jobs. A bound access key may not do this."""
        self.check_is_unbound(THE_QUEUES)
        with snapshot():
            statuses = queue_operations.queue_statuses()
        return Response(QueuesSerializer({"results": statuses}).data)


class OneQueue(Endpoint):
    """The settings of a queue."""

    roles: ClassVar = {"PATCH": Role.OPERATOR}

    @extend_schema(
        operation_id="changeQueue",
        summary="Change the settings of a queue",
        request=QueueChanges,
        parameters=[NAME],
        responses=QueueSerializer,
        tags=["jobs"],
    )
    @idempotent
    def patch(self, request: Request, name: str) -> Response:
        """A new concurrency counts from the next start of a job on, the other settings from the next failure on."""
        self.check_is_unbound(THE_QUEUES)
        queue_operations.change(name, by=self.caller.name, **QueueChanges.read(request))
        return _response(name)


class PauseQueue(Endpoint):
    """The pause of a queue."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="pauseQueue",
        summary="Pause a queue",
        request=ReasonInput,
        parameters=[NAME],
        responses=QueueSerializer,
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """No job of the queue starts until it is resumed; running jobs go on."""
        self.check_is_unbound(THE_QUEUES)
        ReasonInput.read(request)
        queue_operations.pause(name, by=self.caller.name, reason=self.reason)
        return _response(name)


class ResumeQueue(Endpoint):
    """The end of a pause."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="resumeQueue",
        summary="Resume a queue",
        request=ReasonInput,
        parameters=[NAME],
        responses=QueueSerializer,
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """The jobs of the queue start again."""
        self.check_is_unbound(THE_QUEUES)
        ReasonInput.read(request)
        queue_operations.resume(name, by=self.caller.name, reason=self.reason)
        return _response(name)


class PriorityOfJob(Endpoint):
    """The priority of a job."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="setPriority",
        summary="Change the priority of a job",
        request=PriorityInput,
        responses=PriorityInput,
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, job_id: int) -> Response:
        """The waiting job with the highest priority starts first. Retries keep the priority."""
        job = job_for(self.caller, job_id)
        values = PriorityInput.read(request)
        changed = job_operations.set_priority(job_id=job.pk, by=self.caller.name, reason=self.reason, **values)
        return Response({"priority": changed.priority})


def _response(name: str) -> Response:
    (status,) = (status for status in queue_operations.queue_statuses() if status.queue.name == name)
    return Response(QueueSerializer(status).data)
