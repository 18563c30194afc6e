"""The endpoints of definitions: /v1/feature-flags."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions import rules, service
from flags.definitions.models import FLAG_KEY_PATTERN, Flag
from flags.definitions.selectors import matching
from flags.definitions.serializers import (
    ArchivedDefinitionSerializer,
    DefinitionChanges,
    DefinitionFilters,
    DefinitionPlanSerializer,
    DefinitionSerializer,
    EndOptions,
    NewDefinition,
    PlanOptions,
    PurgeStartedSerializer,
    WholeDefinition,
)
from flags.definitions.visible_flags import find_visible_flag, visible_flags
from flags.definitions.who_may_define import check_may_define, check_may_purge
from flags.states.plan_figures import figures_of_flag
from flags.states.planning import Agreed
from flagsite.core.api.entity_tags import is_known, versions_in
from flagsite.core.api.input import ReasonInput
from jobs.api.serializers import tracking_url
from orgs.access.caller import Caller
from orgs.access.endpoints import ListEndpoint, TakesLongBodies
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

NAME = OpenApiParameter("name", {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"}, OpenApiParameter.PATH)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you read. 412 if the flag has changed since.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you have. 304 if the flag has not changed.",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="The tag of this version of the definition."
)


class Definitions(TakesLongBodies, ListEndpoint):
    """The list of definitions."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.EDITOR}
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="listDefinitions",
        summary="Find flags by their definitions",
        parameters=[DefinitionFilters],
        responses=DefinitionSerializer(many=True),
        tags=["definitions"],
    )
    def get(self, request: Request) -> Response:
        """The definitions that match all filters, oldest first. Archived flags are listed only with `archived=true`.

        For a bound access key, only flags exist that somebody has set in its subtree or above it, and their
        prerequisites.
        """
        filters = self.filters(request, DefinitionFilters)
        rows = self.rows(
            request, matching(visible_flags(self.caller), filters).prefetch_related("prerequisites").order_by("id")
        )
        return self.page(DefinitionSerializer, rows, personal=not _is_bound(self.caller))

    @extend_schema(
        operation_id="createDefinition",
        summary="Define a flag",
        request=NewDefinition,
        parameters=[ETAG],
        responses={201: DefinitionSerializer},
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Define a flag. A field that you leave out gets its default. A bound access key may not do this.

        The setting FLAGS_DEFINED_BY says which role this and the other writes of definitions need: `editor` by default.
        """
        check_may_define(self.caller)
        values = NewDefinition.read(request)
        flag = service.create(key=values.pop("name"), values=values, by=self.caller.name)
        location = reverse("definition", args=[flag.key])
        return _definition_response(self.caller, flag, status=status.HTTP_201_CREATED, headers={"Location": location})


class OneDefinition(TakesLongBodies):
    """A single definition."""

    roles: ClassVar = {"GET": Role.READER, "PUT": Role.EDITOR, "PATCH": Role.EDITOR, "DELETE": Role.EDITOR}
    conditions = frozenset({"If-Match"})
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="getDefinition",
        summary="Read a flag's definition",
        parameters=[NAME, IF_NONE_MATCH, ETAG],
        responses={200: DefinitionSerializer, 304: None},
        tags=["definitions"],
    )
    def get(self, request: Request, name: str) -> Response:
        """The current definition, also of an archived flag."""
        flag = find_visible_flag(self.caller, name)
        etag = _etag(self.caller, flag)
        if is_known(etag.strip('"'), request.headers.get("If-None-Match")):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
        return _definition_response(self.caller, flag)

    @extend_schema(
        operation_id="replaceDefinition",
        summary="Write a flag's whole definition",
        request=WholeDefinition,
        parameters=[NAME, IF_MATCH, ETAG],
        responses=DefinitionSerializer,
        tags=["definitions"],
    )
    @idempotent
    def put(self, request: Request, name: str) -> Response:
        """A field that you leave out gets its default. Only salt, hashVersion, killed and archived do not change."""
        return self._change(request, name, WholeDefinition)

    @extend_schema(
        operation_id="changeDefinition",
        summary="Change parts of a flag's definition",
        request=DefinitionChanges,
        parameters=[NAME, IF_MATCH, ETAG],
        responses=DefinitionSerializer,
        tags=["definitions"],
    )
    @idempotent
    def patch(self, request: Request, name: str) -> Response:
        """A field that you leave out does not change. If no value differs, the version does not change either."""
        return self._change(request, name, DefinitionChanges)

    @extend_schema(
        operation_id="endDefinition",
        summary="Archive a flag, or delete it with its states",
        request=None,
        parameters=[NAME, EndOptions, IF_MATCH, ETAG],
        responses={200: ArchivedDefinitionSerializer, 202: PurgeStartedSerializer},
        tags=["definitions"],
    )
    @idempotent
    def delete(self, request: Request, name: str) -> Response:
        """200: the flag is archived and off; PATCH can restore it. 202 with `purge=true`: a job deletes the flag.

        A purge cannot be undone. It needs the role `admin`.
        """
        options = EndOptions.read(request)
        purge = options["purge"]
        (check_may_purge if purge else check_may_define)(self.caller)
        ReasonInput.read(request)
        arguments: dict[str, Any] = {"key": name, "by": self.caller.name, "expected": _expected(request)}
        if not purge:
            arguments["agreed"] = Agreed(options.get("atMost"), options.get("planHash", ""))
            return _definition_response(self.caller, service.archive(**arguments), ArchivedDefinitionSerializer)
        job = service.purge(correlation_id=self.correlation_id, **arguments)
        url = tracking_url(job.pk)
        answer = {"jobId": job.pk, "trackingUrl": url, "message": "The flag and its states are being deleted"}
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": url})

    def _change(self, request: Request, name: str, body: type[WholeDefinition | DefinitionChanges]) -> Response:
        values, agreed = _read_values(self.caller, request, name, body)
        flag = service.update(key=name, values=values, by=self.caller.name, expected=_expected(request), agreed=agreed)
        return _definition_response(self.caller, flag)


class PlanOfDefinition(TakesLongBodies):
    """The plan of a change of a definition."""

    roles: ClassVar = {"POST": Role.EDITOR}
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="planDefinition",
        summary="Plan a change of a flag's definition",
        request=DefinitionChanges,
        parameters=[NAME, PlanOptions],
        responses=DefinitionPlanSerializer,
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """How many organizations would get another answer, and which fields would change. Nothing is written.

        The body is that of PATCH, or with `replace=true` that of PUT. `{"archived": true}` plans what DELETE does.
        """
        replaces = PlanOptions.read(request)["replace"]
        values, _ = _read_values(self.caller, request, name, WholeDefinition if replaces else DefinitionChanges)
        plan = service.plan(key=name, values=values)
        context = {"figures": figures_of_flag(self.caller, plan.flag, changed=plan.changed)}
        return Response(DefinitionPlanSerializer(plan, context=context).data)


def _read_values(
    caller: Caller, request: Request, name: str, body: type[WholeDefinition | DefinitionChanges]
) -> tuple[dict[str, Any], Agreed]:
    """Read the definition fields, and what the request says of its effect, from a caller who may define flags."""
    check_may_define(caller)
    service.flag_called(name)
    values = body.read(request)
    if values.pop("name", name) != name:
        raise ValidationError({"name": ["A flag's name cannot be changed."]})
    agreed = Agreed(values.pop("atMost", None), values.pop("planHash", ""))
    return values, agreed


def _is_bound(caller: Caller) -> bool:
    return caller.organization_id is not None


def _etag(caller: Caller, flag: Flag) -> str:
    """Return a strong ETag. It differs for bound callers, because their answer has other bytes."""
    return f'"{flag.revision}{"-bound" if _is_bound(caller) else ""}"'


def _expected(request: Request) -> frozenset[str]:
    """Return the revisions that If-Match accepts, also if a proxy has changed the tag. A wrong tag matches none."""
    return versions_in(request.headers["If-Match"]) if "If-Match" in request.headers else service.ANY


def _definition_response(
    caller: Caller, flag: Flag, serializer: type[DefinitionSerializer] = DefinitionSerializer, **options: Any
) -> Response:
    data = serializer(flag, context={"personal": not _is_bound(caller)}).data
    return Response(data, **options | {"headers": {"ETag": _etag(caller, flag), **options.get("headers", {})}})
