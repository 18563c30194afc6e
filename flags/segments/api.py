"""The endpoints of segments: /v1/segments."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions import rules
from flags.definitions.service import ANY
from flags.definitions.who_may_define import check_may_define
from flags.segments import service
from flags.segments.models import SEGMENT_KEY_PATTERN, Segment
from flags.segments.selectors import find_visible_segment, matching, visible_segments
from flags.segments.serializers import (
    NewSegment,
    SegmentChanges,
    SegmentFilters,
    SegmentPlanOptions,
    SegmentPlanSerializer,
    SegmentSerializer,
    SegmentUsesSerializer,
    WholeSegment,
)
from flags.segments.uses import uses_of
from flags.states.planning import Agreed
from flagsite.core.api.entity_tags import is_known, versions_in
from flagsite.core.api.input import ReasonInput
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint, ListEndpoint, TakesLongBodies
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

KEY = OpenApiParameter("key", {"type": "string", "pattern": f"^{SEGMENT_KEY_PATTERN}$"}, OpenApiParameter.PATH)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you read. 412 if the segment has changed since.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you have. 304 if the segment has not changed.",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="The tag of this version of the segment."
)


class SegmentList(TakesLongBodies, ListEndpoint):
    """The list of segments."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.EDITOR}
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="listSegments",
        summary="Find segments",
        parameters=[SegmentFilters],
        responses=SegmentSerializer(many=True),
        tags=["segments"],
    )
    def get(self, request: Request) -> Response:
        """The segments that match all filters, oldest first. For a bound access key, there are no segments."""
        filters = self.filters(request, SegmentFilters)
        rows = self.rows(request, matching(visible_segments(self.caller), filters).order_by("id"))
        return self.page(SegmentSerializer, rows)

    @extend_schema(
        operation_id="createSegment",
        summary="Create a segment",
        request=NewSegment,
        parameters=[ETAG],
        responses={201: SegmentSerializer},
        tags=["segments"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a segment. A field that you leave out gets its default. A bound access key may not do this.

        The setting FLAGS_DEFINED_BY says which role this and the other writes of segments need: `editor` by default.
        """
        check_may_define(self.caller)
        values = NewSegment.read(request)
        segment = service.create(key=values.pop("key"), values=values, by=self.caller.name)
        location = reverse("segment", args=[segment.key])
        return _answer(segment, status=status.HTTP_201_CREATED, headers={"Location": location})


class OneSegment(TakesLongBodies):
    """A single segment."""

    roles: ClassVar = {"GET": Role.READER, "PUT": Role.EDITOR, "PATCH": Role.EDITOR, "DELETE": Role.EDITOR}
    conditions = frozenset({"If-Match"})
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="getSegment",
        summary="Read a segment",
        parameters=[KEY, IF_NONE_MATCH, ETAG],
        responses={200: SegmentSerializer, 304: None},
        tags=["segments"],
    )
    def get(self, request: Request, key: str) -> Response:
        """The segment as it is now."""
        segment = find_visible_segment(self.caller, key)
        if is_known(segment.revision, request.headers.get("If-None-Match")):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": _etag(segment)})
        return _answer(segment)

    @extend_schema(
        operation_id="replaceSegment",
        summary="Write a whole segment",
        request=WholeSegment,
        parameters=[KEY, IF_MATCH, ETAG],
        responses=SegmentSerializer,
        tags=["segments"],
    )
    @idempotent
    def put(self, request: Request, key: str) -> Response:
        """A field that you leave out gets its default. The change is one of each flag that uses the segment."""
        return self._change(request, key, WholeSegment)

    @extend_schema(
        operation_id="changeSegment",
        summary="Change parts of a segment",
        request=SegmentChanges,
        parameters=[KEY, IF_MATCH, ETAG],
        responses=SegmentSerializer,
        tags=["segments"],
    )
    @idempotent
    def patch(self, request: Request, key: str) -> Response:
        """A field that you leave out does not change. The change is one of each flag that uses the segment."""
        return self._change(request, key, SegmentChanges)

    @extend_schema(
        operation_id="deleteSegment",
        summary="Delete a segment",
        request=None,
        parameters=[KEY, IF_MATCH],
        responses={200: SegmentSerializer},
        tags=["segments"],
    )
    @idempotent
    def delete(self, request: Request, key: str) -> Response:
        """Delete a segment that no flag and no segment uses. The answer has the segment as it was."""
        check_may_define(self.caller)
        ReasonInput.read(request)
        segment = service.delete(key=key, by=self.caller.name, expected=_expected(request))
        return Response(SegmentSerializer(segment).data)

    def _change(self, request: Request, key: str, body: type[WholeSegment | SegmentChanges]) -> Response:
        values, agreed = _read_values(self.caller, request, key, body)
        return _answer(
            service.update(key=key, values=values, by=self.caller.name, expected=_expected(request), agreed=agreed)
        )


class PlanOfSegment(TakesLongBodies):
    """The plan of a change of a segment."""

    roles: ClassVar = {"POST": Role.EDITOR}
    longest_body = rules.LONGEST_BODY

    @extend_schema(
        operation_id="planSegment",
        summary="Plan a change of a segment",
        request=SegmentChanges,
        parameters=[KEY, SegmentPlanOptions],
        responses=SegmentPlanSerializer,
        tags=["segments"],
    )
    @idempotent
    def post(self, request: Request, key: str) -> Response:
        """Which flags would answer otherwise, and in how many organizations at most. Nothing is written.

        The body is that of PATCH, or with `replace=true` that of PUT.
        """
        replaces = SegmentPlanOptions.read(request)["replace"]
        values, _ = _read_values(self.caller, request, key, WholeSegment if replaces else SegmentChanges)
        return Response(SegmentPlanSerializer(service.plan(key=key, values=values)).data)


class UsesOfSegment(Endpoint):
    """What uses a segment."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listUsesOfSegment",
        summary="Find the flags and segments that use a segment",
        parameters=[KEY],
        responses=SegmentUsesSerializer,
        tags=["segments"],
    )
    def get(self, request: Request, key: str) -> Response:
        """The flags and segments whose rules ask for the segment, themselves or by way of other segments."""
        return Response(SegmentUsesSerializer(uses_of(find_visible_segment(self.caller, key).key)).data)


def _read_values(
    caller: Caller, request: Request, key: str, body: type[WholeSegment | SegmentChanges]
) -> tuple[dict[str, Any], Agreed]:
    """Read the fields, and what the request says of its effect, from a caller who may define flags."""
    check_may_define(caller)
    service.segment_called(key)
    values = body.read(request)
    if values.pop("key", key) != key:
        raise ValidationError({"key": ["A segment's key cannot be changed."]})
    return values, Agreed(values.pop("atMost", None), values.pop("planHash", ""))


def _etag(segment: Segment) -> str:
    return f'"{segment.revision}"'


def _expected(request: Request) -> frozenset[str]:
    """Return the revisions that If-Match accepts, also if a proxy has changed the tag. A wrong tag matches none."""
    return versions_in(request.headers["If-Match"]) if "If-Match" in request.headers else ANY


def _answer(segment: Segment, **options: Any) -> Response:
    headers = {"ETag": _etag(segment), **options.pop("headers", {})}
    return Response(SegmentSerializer(segment).data, headers=headers, **options)
