"""The endpoint that undoes a change."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.errors import ChangeNotFound
from flags.states.organization_settings import locks_named_for
from flags.states.undo import find_undoable, undo_on
from flags.states.undo_serializers import UndoneSerializer
from flagsite.core.api.input import ReasonInput
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import hold_visible_organization
from orgs.errors import OrganizationNotFound
from orgs.idempotency.stored_answers import idempotent

NUMBER = OpenApiParameter("number", {"type": "integer", "format": "int64", "minimum": 1}, OpenApiParameter.PATH)


class UndoChange(Endpoint):
    """The undo of a change."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="undoChange",
        summary="Undo a change of a flag",
        request=ReasonInput,
        parameters=[NUMBER],
        responses={200: UndoneSerializer, 202: UndoneSerializer},
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """The settings that the change has replaced or ended are as they were. Those changed since stay.

        200: everything is written. 202: a job writes the organizations below.
        """
        ReasonInput.read(request)
        change = find_undoable(number)
        try:
            with locks_named_for(self.caller), hold_visible_organization(self.caller, change.organization_id) as held:
                undone = undo_on(held, change, requested_by=self.caller.name, correlation_id=self.correlation_id)
        except OrganizationNotFound:
            raise ChangeNotFound from None
        answer: dict[str, Any] = dict(UndoneSerializer(undone).data)
        if undone.accepted.job is None:
            return Response(answer)
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": answer["trackingUrl"]})
