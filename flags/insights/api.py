"""The endpoint of a flag's adoption."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import FLAG_KEY_PATTERN
from flags.insights.adoption import adoption_of, shares_below
from flags.insights.serializers import AdoptionPage, AdoptionQuery, AdoptionSerializer
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role

NAME = OpenApiParameter("name", {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"}, OpenApiParameter.PATH)


class AdoptionOfFlag(Endpoint):
    """The adoption of a flag."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="readAdoption",
        summary="Read the number of organizations for which a flag is on",
        parameters=[NAME, AdoptionQuery],
        responses=AdoptionSerializer,
        tags=["flags"],
    )
    def get(self, request: Request, name: str) -> Response:
        """Figures of all organizations that the key sees, or of one subtree, and figures of each child."""
        query = AdoptionQuery.read(request)
        adoption = adoption_of(self.caller, name, query.get("organization"))
        parent_id = adoption.organization.pk if adoption.organization and "organization" in query else None
        shares, more = shares_below(self.caller, adoption.flag, parent_id, query.get("after_id"))
        return Response(AdoptionSerializer(AdoptionPage(adoption, shares, more)).data)
