"""The endpoints of periodic tasks."""

from __future__ import annotations

from typing import ClassVar

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import ReasonInput
from flagsite.periodic_tasks import operations
from flagsite.periodic_tasks.serializers import NewPeriodicTask, PeriodicTaskChanges, PeriodicTaskSerializer
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

THE_TASKS = "the periodic tasks"


class PeriodicTasks(ListEndpoint):
    """All periodic tasks."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.ADMIN}

    @extend_schema(
        operation_id="listPeriodicTasks",
        summary="List the periodic tasks",
        responses=PeriodicTaskSerializer(many=True),
        tags=["operation"],
    )
    def get(self, request: Request) -> Response:
        """All periodic tasks, by id. A bound access key may not do this."""
        self.check_is_unbound(THE_TASKS)
        self.filters(request)
        return self.page(PeriodicTaskSerializer, self.rows(request, operations.all_tasks()))

    @extend_schema(
        operation_id="createPeriodicTask",
        summary="Create a periodic task",
        request=NewPeriodicTask,
        responses={201: PeriodicTaskSerializer},
        tags=["operation"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a periodic task with an interval or a crontab. Beat notices it within a few seconds."""
        self.check_is_unbound(THE_TASKS)
        task = operations.create(NewPeriodicTask.read(request))
        location = reverse("periodic-task", args=[task.pk])
        return Response(PeriodicTaskSerializer(task).data, status.HTTP_201_CREATED, headers={"Location": location})


class OnePeriodicTask(Endpoint):
    """A single periodic task."""

    roles: ClassVar = {"GET": Role.READER, "PATCH": Role.ADMIN, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="getPeriodicTask",
        summary="Read a periodic task",
        responses=PeriodicTaskSerializer,
        tags=["operation"],
    )
    def get(self, request: Request, task_id: int) -> Response:
        """The periodic task with its interval or crontab, and its last run."""
        self.check_is_unbound(THE_TASKS)
        return Response(PeriodicTaskSerializer(operations.find(task_id)).data)

    @extend_schema(
        operation_id="changePeriodicTask",
        summary="Change a periodic task",
        request=PeriodicTaskChanges,
        responses=PeriodicTaskSerializer,
        tags=["operation"],
    )
    @idempotent
    def patch(self, request: Request, task_id: int) -> Response:
        """A field that you leave out does not change. An interval takes the place of a crontab, and vice versa."""
        self.check_is_unbound(THE_TASKS)
        task = operations.change(task_id, PeriodicTaskChanges.read(request))
        return Response(PeriodicTaskSerializer(task).data)

    @extend_schema(
        operation_id="deletePeriodicTask",
        summary="Delete a periodic task",
        request=None,
        responses={204: None},
        tags=["operation"],
    )
    @idempotent
    def delete(self, request: Request, task_id: int) -> Response:
        """Delete the task, and its interval or crontab if no other task uses it."""
        self.check_is_unbound(THE_TASKS)
        ReasonInput.read(request)
        operations.delete(task_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunPeriodicTask(Endpoint):
    """Running a periodic task now."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="runPeriodicTask",
        summary="Run a periodic task now",
        request=ReasonInput,
        responses={202: PeriodicTaskSerializer},
        tags=["operation"],
    )
    @idempotent
    def post(self, request: Request, task_id: int) -> Response:
        """Run the task once, as beat does when it is due. It runs while it is disabled too. Its next time stays."""
        self.check_is_unbound(THE_TASKS)
        ReasonInput.read(request)
        return Response(PeriodicTaskSerializer(operations.run(task_id)).data, status.HTTP_202_ACCEPTED)
