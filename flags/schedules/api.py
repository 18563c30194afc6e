"""The endpoints of scheduled changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.rules import LONGEST_BODY
from flags.schedules import plan, schedule_operations, selectors
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.schedules.schedule_plan import context_of_plan, plan_of
from flags.schedules.serializers import (
    NewSchedule,
    ScheduledSerializer,
    ScheduleFilters,
    SchedulePlanSerializer,
    ScheduleSerializer,
)
from flags.schedules.steps import Step, plan_steps
from flags.schedules.time_parsing import parse_time
from flagsite.core import actor
from flagsite.core.api.input import ReasonInput
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint, ListEndpoint, TakesLongBodies
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent


class Schedules(TakesLongBodies, ListEndpoint):
    """The list of past and coming scheduled changes."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.EDITOR}
    rows_outlive_organizations = True
    longest_body = LONGEST_BODY

    @extend_schema(
        operation_id="listSchedules",
        summary="List scheduled changes",
        parameters=[ScheduleFilters],
        responses=ScheduleSerializer(many=True),
        tags=["schedules"],
    )
    def get(self, request: Request) -> Response:
        """The scheduled changes that the caller may see and that match all filters, newest first."""
        filters = self.filters(request, ScheduleFilters)
        schedules = selectors.matching(selectors.schedules_of(self.caller), **filters)
        return self.page(ScheduleSerializer, self.rows(request, schedules.order_by("-id")))

    @extend_schema(
        operation_id="createSchedule",
        summary="Schedule a change",
        request=NewSchedule,
        responses={201: ScheduledSerializer},
        tags=["schedules"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Schedule a change of an organization's value or of a definition: once, in steps, as a pair, or by cron."""
        schedules = _plan(self.caller, NewSchedule.read(request))
        location = reverse("schedule", args=[schedules[0].pk])
        answer = ScheduledSerializer({"schedules": schedules}).data
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Location": location})


class OneSchedule(Endpoint):
    """One scheduled change."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getSchedule", summary="Read a scheduled change", responses=ScheduleSerializer, tags=["schedules"]
    )
    def get(self, request: Request, schedule_id: int) -> Response:
        """The scheduled change with its status and its result."""
        return Response(ScheduleSerializer(selectors.schedule_for(self.caller, schedule_id)).data)


class CancelSchedule(Endpoint):
    """Cancel a scheduled change."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="cancelSchedule",
        summary="Cancel a scheduled change",
        request=ReasonInput,
        responses=ScheduleSerializer,
        tags=["schedules"],
    )
    @idempotent
    def post(self, request: Request, schedule_id: int) -> Response:
        """Cancel a change that waits for its time or its retry. All later occurrences of a recurring change end too."""
        ReasonInput.read(request)
        schedule = selectors.schedule_for(self.caller, schedule_id)
        cancelled = schedule_operations.cancel(schedule_id=schedule.pk, by=self.caller.name)
        return Response(ScheduleSerializer(cancelled).data)


class PlanOfSchedule(Endpoint):
    """The plan of a scheduled change."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="planSchedule",
        summary="Plan a scheduled change as if it were due now",
        request=ReasonInput,
        responses=SchedulePlanSerializer,
        tags=["schedules"],
    )
    @idempotent
    def post(self, request: Request, schedule_id: int) -> Response:
        """What the change would do if it were due now, or why it would fail. Nothing is written."""
        ReasonInput.read(request)
        plan = plan_of(self.caller, selectors.schedule_for(self.caller, schedule_id))
        context = context_of_plan(self.caller, plan)
        return Response(SchedulePlanSerializer(plan, context=context).data)


class RetrySchedule(Endpoint):
    """Retry a scheduled change."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="retrySchedule",
        summary="Retry a scheduled change now",
        request=ReasonInput,
        responses={202: ScheduleSerializer},
        tags=["schedules"],
    )
    @idempotent
    def post(self, request: Request, schedule_id: int) -> Response:
        """Try a failed change again within seconds, with all its automatic retries, even if it has failed for good."""
        ReasonInput.read(request)
        schedule = selectors.schedule_for(self.caller, schedule_id)
        retried = schedule_operations.retry(schedule_id=schedule.pk, by=self.caller.name)
        return Response(ScheduleSerializer(retried).data, status=status.HTTP_202_ACCEPTED)


def _plan(caller: Caller, values: dict[str, Any]) -> list[FlagSchedule]:
    context = actor.current()
    request = ScheduleRequest(
        values["flag_key"],
        values["organization"],
        context.reason,
        values.get("max_retries"),
        context.correlation_id,
    )
    zone = values.get("time_zone", "")
    if "cron" in values:
        return [plan.plan_recurring(caller, request, wanted=values["wanted"], cron=values["cron"], time_zone=zone)]
    if "steps" in values:
        steps = [Step(each["wanted"], timedelta(minutes=each.get("wait", 0))) for each in values["steps"]]
        return plan_steps(caller, request, steps, at=parse_time(values["at"], zone))
    if "on_at" in values:
        on_at, off_at = parse_time(values["on_at"], zone), parse_time(values["off_at"], zone)
        return list(plan.plan_pair(caller, request, on_at=on_at, off_at=off_at, how=values.get("wanted", {})))
    return [plan.plan_once(caller, request, wanted=values["wanted"], at=parse_time(values["at"], zone))]
