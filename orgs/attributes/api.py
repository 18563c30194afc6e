"""The endpoint of an organization's attributes."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.entity_tags import is_known, versions_in
from flagsite.core.db.snapshot import snapshot
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.attributes import authorized_attributes
from orgs.attributes.attribute_operations import Attributes
from orgs.attributes.attribute_serializers import AllAttributes, AttributeChanges, AttributesSerializer
from orgs.attributes.authorized_attributes import version_of
from orgs.errors import AttributesChangedMeanwhile
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.references import Reference

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of what you read. 412 if an own or inherited attribute has changed since.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of what you have. 304 if no attribute has changed.",
)
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="The tag of own and inherited ones.",
)


class AttributesOfOrganization(Endpoint):
    """The attributes of one organization."""

    roles: ClassVar = {"GET": Role.READER, "PUT": Role.ADMIN, "PATCH": Role.ADMIN}
    conditions = frozenset({"If-Match"})

    @extend_schema(
        operation_id="getAttributes",
        summary="Read the attributes of an organization",
        parameters=[IF_NONE_MATCH, ETAG],
        responses={200: AttributesSerializer, 304: None},
        tags=["organizations"],
    )
    @snapshot()
    def get(self, request: Request, organization: Reference) -> Response:
        """The own attributes, and those that come from above, each with the organization from which it comes."""
        found = authorized_attributes.read(self.caller, organization)
        if is_known(version_of(found), request.headers.get("If-None-Match")):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": _etag(found)})
        return _answer(found)

    @extend_schema(
        operation_id="replaceAttributes",
        summary="Write all own attributes of an organization",
        request=AllAttributes,
        parameters=[IF_MATCH, ETAG],
        responses=AttributesSerializer,
        tags=["organizations"],
    )
    @idempotent
    def put(self, request: Request, organization: Reference) -> Response:
        """An own attribute that you leave out is removed. What the organization inherits stays as it is."""
        find_visible_organization(self.caller, organization)
        body = AllAttributes.read(request)
        return self._write(request, organization, values=body["attributes"], replace=True)

    @extend_schema(
        operation_id="changeAttributes",
        summary="Change some own attributes of an organization",
        request=AttributeChanges,
        parameters=[IF_MATCH, ETAG],
        responses=AttributesSerializer,
        tags=["organizations"],
    )
    @idempotent
    def patch(self, request: Request, organization: Reference) -> Response:
        """Set some attributes, and remove others. Organizations below inherit them from the next evaluation on."""
        find_visible_organization(self.caller, organization)
        body = AttributeChanges.read(request)
        return self._write(request, organization, values=body["attributes"], remove=body["remove"])

    def _write(self, request: Request, organization: Reference, **change: Any) -> Response:
        expected = versions_in(request.headers["If-Match"]) if "If-Match" in request.headers else frozenset("*")

        def check(before: Attributes) -> None:
            if "*" not in expected and version_of(before) not in expected:
                raise AttributesChangedMeanwhile

        return _answer(authorized_attributes.write(self.caller, organization, check=check, **change))


def _etag(attributes: Attributes) -> str:
    return f'"{version_of(attributes)}"'


def _answer(attributes: Attributes) -> Response:
    return Response(AttributesSerializer(attributes).data, headers={"ETag": _etag(attributes)})
