"""The API endpoints of organizations."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core import example_names as names
from flagsite.core.api.input import ReasonInput
from flagsite.core.api.pagination import WholeList
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import (
    find_visible_organization,
    matching,
    subtree_ordered_by_id,
    visible_ancestors,
    visible_organizations_ordered_by_id,
)
from orgs.audit.serializers import CSV
from orgs.idempotency.stored_answers import idempotent
from orgs.importing.organization_export import exported_blocks
from orgs.tree import authorized_operations
from orgs.tree.large_changes import StartedJob
from orgs.tree.references import Reference
from orgs.tree.serializers import (
    ChangeStartedSerializer,
    DeletionOptions,
    ExportFilters,
    NewOrganization,
    OrganizationChanges,
    OrganizationFilters,
    OrganizationSerializer,
    PlacedOrganizationSerializer,
)

CSV_EXAMPLE = f"key,name,parent_key,attribute:plan\n{names.OSLO},Oslo,{names.NORWAY},pro\n"


class Organizations(ListEndpoint):
    """All organizations that the caller may see."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.ADMIN}

    @extend_schema(
        operation_id="listOrganizations",
        summary="Find organizations",
        parameters=[OrganizationFilters],
        responses=OrganizationSerializer(many=True),
        tags=["organizations"],
    )
    @snapshot()
    def get(self, request: Request) -> Response:
        """List the organizations that the caller may see, by id. An organization has to match all filters."""
        filters = self.filters(request, OrganizationFilters)
        rows = self.rows(request, matching(visible_organizations_ordered_by_id(self.caller), filters))
        return self.page(OrganizationSerializer, rows)

    @extend_schema(
        operation_id="createOrganization",
        summary="Create an organization",
        request=NewOrganization,
        responses={201: PlacedOrganizationSerializer},
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create an organization; it takes over the flag states of its parent."""
        organization = authorized_operations.create(self.caller, **NewOrganization.read(request))
        location = reverse("organization", args=[organization.pk])
        answer = PlacedOrganizationSerializer(organization).data
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Location": location})


class OrganizationsAsCsv(Endpoint):
    """Organizations as a file that an import reads."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="exportOrganizations",
        summary="Read organizations with their attributes as CSV",
        parameters=[ExportFilters],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY, description="All organizations, as CSV.")},
        examples=[OpenApiExample("A store", value=CSV_EXAMPLE, response_only=True, media_type="text/csv")],
        tags=["organizations"],
    )
    def get(self, request: Request) -> Any:
        """A file that `POST /v1/imports` takes, parents first: all that the caller may see, or a part of it.

        The top of a part has no `parent_key`. Import the part below another organization, or as a tree of its own.
        """
        below = ExportFilters.read(request).get("below")
        return organizations_file(self.caller, below)


def organizations_file(caller: Caller, below: Reference | None = None) -> StreamingHttpResponse:
    """Return the answer with organizations as a file. Raises OrganizationNotFound, OrganizationAmbiguous."""
    if below is not None:
        find_visible_organization(caller, below)  # what comes later could not be told any more
    answer = StreamingHttpResponse(exported_blocks(caller, below), content_type=CSV)
    answer["Content-Disposition"] = 'attachment; filename="organizations.csv"'
    return answer


class OneOrganization(Endpoint):
    """A single organization."""

    roles: ClassVar = {"GET": Role.READER, "PATCH": Role.ADMIN, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="getOrganization",
        summary="Read an organization",
        responses=OrganizationSerializer,
        tags=["organizations"],
    )
    def get(self, request: Request, organization: Reference) -> Response:
        """Read one organization."""
        return Response(OrganizationSerializer(find_visible_organization(self.caller, organization)).data)

    @extend_schema(
        operation_id="changeOrganization",
        summary="Rename or move an organization",
        request=OrganizationChanges,
        responses={200: PlacedOrganizationSerializer, 202: ChangeStartedSerializer},
        tags=["organizations"],
    )
    @idempotent
    def patch(self, request: Request, organization: Reference) -> Response:
        """Rename or move an organization. A moved subtree carries its own settings of flags along.

        202: more than TREE_INLINE_ORGANIZATIONS organizations move, so a job moves them. A new name is written at once.
        """
        changes = OrganizationChanges.read(request)
        operation = authorized_operations.move if "parent" in changes else authorized_operations.rename
        done = operation(self.caller, organization, **changes)
        if isinstance(done, StartedJob):
            return _started(done, "A job moves the organization with everything below it")
        return Response(PlacedOrganizationSerializer(done).data)

    @extend_schema(
        operation_id="deleteOrganization",
        summary="Delete an organization",
        request=None,
        parameters=[DeletionOptions],
        responses={202: ChangeStartedSerializer, 204: None},
        tags=["organizations"],
    )
    @idempotent
    def delete(self, request: Request, organization: Reference) -> Response:
        """Delete an organization with its flag states and access keys. With `subtree=true`, delete its subtree too.

        202: these are more than TREE_INLINE_ORGANIZATIONS organizations, so a job deletes them. As long as the job is
        open, another request for the same deletion answers with the same job.
        """
        ReasonInput.read(request)
        done = authorized_operations.delete(self.caller, organization, **DeletionOptions.arguments(request))
        if isinstance(done, StartedJob):
            return _started(done, "A job deletes the organization with everything below it")
        return Response(status=status.HTTP_204_NO_CONTENT)


def _started(job: StartedJob, message: str) -> Response:
    url = reverse("job-status", args=[job.job_id])
    answer = {"jobId": job.job_id, "trackingUrl": url, "message": message}
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": url})


class Ancestors(ListEndpoint):
    """The ancestors of an organization, in one answer: a path is short, and a cursor in it would not hold."""

    pagination_class: Any = WholeList
    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listAncestors",
        summary="List the organizations above an organization",
        responses=OrganizationSerializer(many=True),
        tags=["organizations"],
    )
    @snapshot()
    def get(self, request: Request, organization: Reference) -> Response:
        """List all organizations above it that the caller may see, root first."""
        self.filters(request)
        found = find_visible_organization(self.caller, organization)
        rows = self.rows(request, visible_ancestors(self.caller, found).order_by("level"))
        return self.page(OrganizationSerializer, rows)


class Descendants(ListEndpoint):
    """The descendants of an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listDescendants",
        summary="List the organizations below an organization",
        responses=OrganizationSerializer(many=True),
        tags=["organizations"],
    )
    @snapshot()
    def get(self, request: Request, organization: Reference) -> Response:
        """List all organizations below it, at all levels, by id."""
        self.filters(request)
        top = find_visible_organization(self.caller, organization)
        below = subtree_ordered_by_id(top).exclude(pk=top.pk)
        return self.page(OrganizationSerializer, self.rows(request, below))
