"""The endpoints of queues, and of the operations on jobs that need more than a reason."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.api.queue_serializers import NewQueue, PriorityInput, QueueChanges, QueueSerializer, QueuesSerializer
from jobs.engine.chains import job_for
from jobs.operations import job_operations, queue_operations
from jobs.operations.priorities import check_priority
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

NAME = OpenApiParameter("name", {"type": "string", "maxLength": 64, "pattern": "^[^/]+$"}, OpenApiParameter.PATH)
THE_QUEUES = "the queues"


class Queues(Endpoint):
    """All queues, and the creation of a queue."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR}

    @extend_schema(operation_id="listQueues", summary="Read the queues", responses=QueuesSerializer, tags=["jobs"])
    def get(self, request: Request) -> Response:
        """All queues with their settings and the counts of their jobs. A bound access key may not do this."""
        self.check_is_unbound(THE_QUEUES)
        with snapshot():
            statuses = queue_operations.queue_statuses()
        return Response(QueuesSerializer({"results": statuses}).data)

    @extend_schema(
        operation_id="createQueue",
        summary="Create a queue",
        request=NewQueue,
        responses={201: QueueSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Jobs wait in it whose request names the queue. A worker has to serve it: start one with its name."""
        self.check_is_unbound(THE_QUEUES)
        created = queue_operations.create(**NewQueue.read(request), by=self.caller.name, reason=self.reason)
        return _response(created.name, status=201, headers={"Location": f"/v1/queues/{created.name}"})


class OneQueue(Endpoint):
    """One queue: its settings and counts, and its deletion."""

    roles: ClassVar = {"GET": Role.READER, "PATCH": Role.OPERATOR, "DELETE": Role.OPERATOR}

    @extend_schema(
        operation_id="getQueue", summary="Read a queue", parameters=[NAME], responses=QueueSerializer, tags=["jobs"]
    )
    def get(self, request: Request, name: str) -> Response:
        """The queue with its settings and the counts of its jobs. A bound access key may not do this."""
        self.check_is_unbound(THE_QUEUES)
        return _response(name)

    @extend_schema(
        operation_id="deleteQueue",
        summary="Delete a queue",
        request=None,
        parameters=[NAME],
        responses={204: None},
        tags=["jobs"],
    )
    @idempotent
    def delete(self, request: Request, name: str) -> Response:
        """A queue stays while it has open jobs, and as long as the jobs of a kind wait in it (409)."""
        self.check_is_unbound(THE_QUEUES)
        ReasonInput.read(request)
        queue_operations.delete(name, by=self.caller.name, reason=self.reason)
        return Response(status=204)

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
        return self.pause(request, name)

    def pause(self, request: Request, name: str) -> Response:
        """Pause the queue, and return the answer. Raises OutsideOfYourSubtree, UnknownQueue."""
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
        return self.resume(request, name)

    def resume(self, request: Request, name: str) -> Response:
        """Resume the queue, and return the answer. Raises OutsideOfYourSubtree, UnknownQueue."""
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
        """The waiting job with the highest priority starts first. Retries keep the priority.

        A bound access key may give 10 at most, because all organizations share the workers.
        """
        job = job_for(self.caller, job_id)
        values = PriorityInput.read(request)
        check_priority(self.caller, values["priority"])
        changed = job_operations.set_priority(job_id=job.pk, by=self.caller.name, reason=self.reason, **values)
        return Response({"priority": changed.priority})


def _response(name: str, **options: Any) -> Response:
    return Response(QueueSerializer(queue_operations.queue_status(name)).data, **options)
