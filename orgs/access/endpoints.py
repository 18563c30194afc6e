"""The base classes of the API's views: authorization by role, JSON only, and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import BasePagination
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from flagsite.core import actor
from flagsite.core.api.input import EmptyForm, JsonBody, LongJsonBody, QuerySerializer
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization, id_to_filter_by
from orgs.errors import OutsideOfYourSubtree
from orgs.tree.references import Reference

CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
CONDITION_REFUSED = (
    "This request cannot depend on a version, so Flagsite has not carried it out. Send it without this header. "
    "If-Match works for the changes of definitions, at /v1/feature-flags/{name}."
)


class LengthRequired(APIException):
    """The request has a chunked body of unknown length."""

    status_code = 411
    default_detail = "Send the body with a Content-Length."


class AlwaysJson(BaseContentNegotiation):
    """Content negotiation that always answers with JSON, whatever the client accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in (*parsers, EmptyForm()) if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    """A view of the API. `roles` has the role that each method needs; a method without a role is refused.

    `conditions` has the conditional headers that its writes honour. A write with another one is refused: without a
    word, the client would believe that Flagsite compares versions.
    """

    roles: ClassVar[Mapping[str, Role]] = {}
    conditions: ClassVar[frozenset[str]] = frozenset()
    hint_for_other_methods: ClassVar[str] = ""
    """A sentence for the 405 of a method that clients may expect here: what to send instead."""
    parser_classes = (JsonBody,)
    content_negotiation_class = AlwaysJson
    metadata_class = None

    def perform_authentication(self, request: Request) -> None:
        """Find the caller, and name it in the log, also if the request is refused afterwards."""
        super().perform_authentication(request)
        if isinstance(request.auth, Caller):
            actor.identify(request.auth.name)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.headers.get("Transfer-Encoding") and not request.headers.get("Content-Length"):
            raise LengthRequired
        self._check_conditions(request)

    def _check_conditions(self, request: Request) -> None:
        """Check that a write has no conditional header that it ignores. Raises ValidationError."""
        if request.method in SAFE_METHODS:
            return
        ignored = [name for name in CONDITIONS if name in request.headers and name not in self.conditions]
        if ignored:
            raise ValidationError({name: [CONDITION_REFUSED] for name in ignored})

    @property
    def caller(self) -> Caller:
        """The caller that sent the request; `HasRole` refuses requests without a caller."""
        return cast("Caller", self.request.auth)

    @property
    def correlation_id(self) -> str:
        """The request's correlation id, which is also in the log and in the answer's header."""
        return str(getattr(self.request, "correlation_id", ""))

    @property
    def reason(self) -> str:
        """The reason of the request, after its body was read (`WriteInput.read`); empty if there is none."""
        return actor.current().reason

    def check_is_unbound(self, shared: str) -> None:
        """Check that the caller has no scope, before a deed on what all organizations share.

        `shared` names that in the message, such as "the queues". Raises OutsideOfYourSubtree.
        """
        if self.caller.organization_id is not None:
            raise OutsideOfYourSubtree(f"Your key is bound to an organization, and all organizations share {shared}.")

    def body_to_compare(self, request: Request) -> bytes:
        """Return the bytes by which a repeated request is recognized; the body can still be parsed after this."""
        return bytes(request.body)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(status=status.HTTP_204_NO_CONTENT)


class TakesLongBodies(Endpoint):
    """A part of views whose body may be longer than MAX_REQUEST_BYTES: as long as its fields may be together.

    Only callers with the role of the endpoint can send such a body, because it is read after the authorization.
    """

    longest_body: ClassVar[int]
    """In bytes."""
    body_digest: bytes = b""
    parser_classes = (LongJsonBody,)

    def body_to_compare(self, request: Request) -> bytes:
        _ = request.data  # parses the body
        return self.body_digest


class ListEndpoint(Endpoint):
    """A view of the API that answers with pages of rows."""

    pagination_class: Any = api_settings.DEFAULT_PAGINATION_CLASS
    rows_outlive_organizations: ClassVar[bool] = False
    """Whether the rows stay after their organization is deleted, so that its id can still be a filter."""

    def filters(self, request: Request, filters: type[QuerySerializer] = QuerySerializer) -> dict[str, Any]:
        """Return the validated filters of the query string, with the id instead of each named organization.

        Raises ValidationError, OrganizationNotFound and OrganizationAmbiguous.
        """
        values = filters.read(request, also=getattr(self.pagination_class, "parameter_names", ()))
        return {name: self._id_of(value) if isinstance(value, Reference) else value for name, value in values.items()}

    def _id_of(self, named: Reference) -> int:
        if self.rows_outlive_organizations:
            return id_to_filter_by(self.caller, named)
        return int(find_visible_organization(self.caller, named).pk)

    def rows(self, request: Request, queryset: QuerySet[Any]) -> list[Any]:
        """Return the rows of the requested page; `queryset` is ordered by one unique column. Raises ValidationError."""
        self.paginator: BasePagination = self.pagination_class()
        return list(self.paginator.paginate_queryset(queryset, request, view=self) or ())

    def page(self, serializer: type[BaseSerializer[Any]], rows: list[Any], **context: Any) -> Response:
        """Return the answer with the page's rows, serialized by `serializer`."""
        return self.paginator.get_paginated_response(serializer(rows, many=True, context=context).data)
