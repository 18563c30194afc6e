"""The endpoints under /v1/queue of what runs later, and of the beat."""

from __future__ import annotations

from typing import ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from flagsite.core.db.snapshot import snapshot
from flagsite.periodic_tasks import operations
from flagsite.periodic_tasks.api import THE_TASKS
from flagsite.periodic_tasks.scheduled import later_jobs, periodic_tasks_of, remove, scheduler_status
from flagsite.periodic_tasks.scheduled_serializers import (
    RemovedSerializer,
    ScheduledWorkSerializer,
    ScheduleInput,
    SchedulerSerializer,
)
from flagsite.periodic_tasks.serializers import PeriodicTaskSerializer
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

SCHEDULED = OpenApiParameter(
    "scheduled",
    {"type": "string", "pattern": "^(job|task)-[1-9][0-9]{0,18}$"},
    OpenApiParameter.PATH,
    description="The id of a job or of a periodic task.",
)
KIND = OpenApiParameter(
    "kind",
    {"type": "string", "maxLength": 64, "pattern": "^[^/]+$"},
    OpenApiParameter.PATH,
    description="One of GET /v1/queue/kinds.",
)


class Scheduled(ListEndpoint):
    """What runs later."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listScheduled",
        summary="List what runs later",
        responses=ScheduledWorkSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """The periodic tasks on the first page, and then the jobs that wait for a later time, by id.

        A bound access key sees the jobs of its subtree.
        """
        self.filters(request)
        with snapshot():
            rows = self.rows(request, later_jobs(self.caller))
            tasks = [] if "cursor" in request.query_params else periodic_tasks_of(self.caller)
        return self.page(ScheduledWorkSerializer, [*tasks, *rows])


class OneScheduled(Endpoint):
    """Something that runs later."""

    roles: ClassVar = {"DELETE": Role.OPERATOR}

    @extend_schema(
        operation_id="removeScheduled",
        summary="Cancel a later job, or delete a periodic task",
        parameters=[SCHEDULED],
        request=ReasonInput,
        responses={200: RemovedSerializer},
        tags=["jobs"],
    )
    @idempotent
    def delete(self, request: Request, scheduled: str) -> Response:
        """Cancel a job that waits (`job-17`). With the role admin, delete a periodic task (`task-3`)."""
        ReasonInput.read(request)
        job = remove(self.caller, scheduled, reason=self.reason)
        return Response({"id": scheduled, "removed": "cancelled" if job else "deleted"})


class ScheduleOfKind(Endpoint):
    """The schedule of a kind of jobs."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="scheduleKind",
        summary="Enqueue jobs of a kind again and again",
        parameters=[KIND],
        request=ScheduleInput,
        responses={200: PeriodicTaskSerializer, 201: PeriodicTaskSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, kind: str) -> Response:
        """Create or change the periodic task that enqueues jobs of the kind. A field that you leave out stays.

        With a `name`, it is the periodic task of this name, else the first one that enqueues jobs of the kind.
        """
        self.check_is_unbound(THE_TASKS)
        task, is_created = operations.schedule_kind(kind, ScheduleInput.read(request))
        location = reverse("periodic-task", args=[task.pk])
        code = status.HTTP_201_CREATED if is_created else status.HTTP_200_OK
        return Response(PeriodicTaskSerializer(task).data, code, headers={"Location": location})


class Scheduler(Endpoint):
    """The beat at work."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getSchedulerStatus",
        summary="Read the status of beat",
        responses=SchedulerSerializer,
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """Since when a beat is at work, when it has last sent a task, and what it sends next.

        A bound access key may not do this.
        """
        QuerySerializer.read(request)
        self.check_is_unbound(THE_TASKS)
        with snapshot():
            found = scheduler_status()
        return Response(SchedulerSerializer(found).data)
