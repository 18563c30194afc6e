"""The endpoints that undo a change, and plan this."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.states.planning import Agreed
from flags.undoing.serializers import UndoInput, UndoneSerializer, UndoPlanSerializer
from flags.undoing.undo import find
from flagsite.core.api.input import ReasonInput
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

NUMBER = OpenApiParameter("number", {"type": "integer", "format": "int64", "minimum": 1}, OpenApiParameter.PATH)


class UndoChange(Endpoint):
    """The undo of a change."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="undoChange",
        summary="Undo a change",
        request=UndoInput,
        parameters=[NUMBER],
        responses={200: UndoneSerializer, 202: UndoneSerializer},
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """What the change has replaced is as it was. What was changed since stays as it is.

        This undoes sets, locks and resets of a flag, changes of a definition, and moves; it needs the rights that such
        a change needs. 200: everything is written. 202: a job writes the organizations below.
        """
        values = UndoInput.read(request)
        agreed = Agreed(values.get("atMost"), values.get("planHash", ""))
        undone = find(self.caller, number).undo(agreed=agreed, correlation_id=self.correlation_id)
        answer: dict[str, Any] = dict(UndoneSerializer(undone).data)
        if undone.job is None:
            return Response(answer)
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": answer["trackingUrl"]})


class PlanOfUndo(Endpoint):
    """The plan of an undo."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="planUndo",
        summary="Plan the undo of a change",
        request=ReasonInput,
        parameters=[NUMBER],
        responses=UndoPlanSerializer,
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """What would be restored, what was changed since and stays, and how many organizations would change."""
        ReasonInput.read(request)
        plan = find(self.caller, number).plan()
        return Response(UndoPlanSerializer(plan, context={"figures": plan.figures(self.caller)}).data)
