"""The endpoints of the flag file: /v1/flag-file."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions import service
from flags.definitions.who_may_define import check_may_define
from flags.moving import flag_file, to_flagd, writing
from flags.moving.reading import Reading, Source, read_import
from flags.moving.serializers import (
    LONGEST_FILE,
    FlagdFileSerializer,
    FlagdOptions,
    FlagFileInput,
    FlagFileOptions,
    FlagFilePlanOptions,
    FlagFileSerializer,
    ForeignFileInput,
    ImportedSerializer,
    WrittenSerializer,
)
from flags.moving.writing import Mode
from flagsite.core.api.entity_tags import is_known, versions_in
from orgs.access.endpoints import Endpoint, TakesLongBodies
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.references import Reference

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The `ETag` that you read. 412 if a definition has changed."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` that you have. 304 if nothing has changed."
)
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="The revision of all definitions.",
)


class FlagFile(TakesLongBodies):
    """The flag file."""

    roles: ClassVar = {"GET": Role.READER, "PUT": Role.EDITOR, "POST": Role.EDITOR}
    conditions = frozenset({"If-Match"})
    longest_body = LONGEST_FILE

    @extend_schema(
        operation_id="getFlagFile",
        summary="Export all definitions as one file",
        parameters=[FlagFileOptions, IF_NONE_MATCH, ETAG],
        responses={200: FlagFileSerializer, 304: None},
        tags=["definitions"],
    )
    def get(self, request: Request) -> Response:
        """All definitions in the order of their names, as PUT takes them. A bound access key may not read them."""
        options = FlagFileOptions.read(request)
        self.check_is_unbound("the definitions")
        content, revision = flag_file.document_and_revision(with_archived=options["archived"])
        etag = f'"{revision}"'
        if is_known(revision, request.headers.get("If-None-Match")):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
        return Response(content, headers={"ETag": etag})

    @extend_schema(
        operation_id="mirrorFlagFile",
        summary="Make all definitions those of a file",
        request=FlagFileInput,
        parameters=[IF_MATCH, ETAG],
        responses=WrittenSerializer,
        tags=["definitions"],
    )
    @idempotent
    def put(self, request: Request) -> Response:
        """Defines, changes and archives flags until GET answers with this file, all at once or nothing.

        A field that you leave out gets its default, as with PUT of a definition. A flag that the file does not have is
        archived.
        """
        return self._write(request, Mode.MIRROR)

    @extend_schema(
        operation_id="mergeFlagFile",
        summary="Define and change the flags of a file",
        request=FlagFileInput,
        parameters=[IF_MATCH, ETAG],
        responses=WrittenSerializer,
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Defines and changes the flags of the file, all at once or nothing.

        A field that you leave out does not change, and neither does a flag.
        """
        return self._write(request, Mode.MERGE)

    def _write(self, request: Request, mode: Mode) -> Response:
        check_may_define(self.caller)
        values = FlagFileInput.read(request)
        written = writing.write(
            values["flags"], mode, by=self.caller.name, reason=self.reason, expected=_expected_by(request),
            segments=values.get("segments", ()),
        )  # fmt: skip
        return _answer(written, WrittenSerializer(written).data)


class FlagdFile(Endpoint):
    """The flags of an organization for flagd."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="exportFlagd",
        summary="Export the flags of an organization for flagd",
        parameters=[FlagdOptions],
        responses=FlagdFileSerializer,
        tags=["definitions"],
    )
    def get(self, request: Request, organization: Reference) -> Response:
        """A file that flagd, or a provider that evaluates in its own process, can serve to the organization's users.

        A flag that flagd would evaluate otherwise is not in the file, and `notExported` names it. A bound access key
        may not read the file, because targeting has values of other customers.
        """
        options = FlagdOptions.read(request)
        found = find_visible_organization(self.caller, organization)
        self.check_is_unbound("the definitions")
        return Response(to_flagd.export(found.pk, options.get("environment")).document)


class PlanOfFlagFile(TakesLongBodies):
    """The plan of a write of the flag file."""

    roles: ClassVar = {"POST": Role.EDITOR}
    longest_body = LONGEST_FILE

    @extend_schema(
        operation_id="planFlagFile",
        summary="Plan what a file of definitions would change",
        request=FlagFileInput,
        parameters=[FlagFilePlanOptions, ETAG],
        responses=WrittenSerializer,
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Which flags would be defined, changed and archived, with the fields that differ. Nothing is written.

        Send the `ETag` of the answer as `If-Match` with PUT or POST, so that nothing else happens.
        """
        options = FlagFilePlanOptions.read(request)
        check_may_define(self.caller)
        values = FlagFileInput.read(request)
        segments = values.get("segments", ())
        planned = writing.plan(values["flags"], options["mode"], by=self.caller.name, segments=segments)
        return _answer(planned, WrittenSerializer(planned).data)


class FlagImports(TakesLongBodies):
    """Imports of the flags of other products."""

    roles: ClassVar = {"POST": Role.EDITOR}
    conditions = frozenset({"If-Match"})
    longest_body = LONGEST_FILE

    @extend_schema(
        operation_id="importFlags",
        summary="Import the flags of another product",
        request=ForeignFileInput,
        parameters=[IF_MATCH, ETAG],
        responses=ImportedSerializer,
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Defines and changes flags as the file of another product says, all at once or nothing.

        A flag that Flagsite cannot say exactly is left out, and `remarks` names it with a code.
        """
        check_may_define(self.caller)
        reading = _foreign(request)
        written = writing.write(
            reading.entries, Mode.MERGE, by=self.caller.name, reason=self.reason, expected=_expected_by(request),
            segments=reading.segments,
        )  # fmt: skip
        return _answer_of_import(written, reading)


class PlanOfFlagImport(TakesLongBodies):
    """The plan of an import."""

    roles: ClassVar = {"POST": Role.EDITOR}
    longest_body = LONGEST_FILE

    @extend_schema(
        operation_id="planFlagImport",
        summary="Plan an import of the flags of another product",
        request=ForeignFileInput,
        parameters=[ETAG],
        responses=ImportedSerializer,
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Which flags would be defined and changed, and which would be left out. Nothing is written."""
        check_may_define(self.caller)
        reading = _foreign(request)
        planned = writing.plan(reading.entries, Mode.MERGE, by=self.caller.name, segments=reading.segments)
        return _answer_of_import(planned, reading)


def _foreign(request: Request) -> Reading:
    values = ForeignFileInput.read(request)
    return read_import(Source(values["source"]), values["file"], values.get("environment", ""))


def _expected_by(request: Request) -> Collection[str]:
    """Return the revisions of the definitions that a write expects."""
    header = request.headers.get("If-Match")
    return service.ANY if header is None else versions_in(header)


def _answer_of_import(written: writing.Written, reading: Reading) -> Response:
    return _answer(written, ImportedSerializer(written, context={"remarks": reading.remarks}).data)


def _answer(written: writing.Written, data: Any) -> Response:
    return Response(data, headers={"ETag": f'"{written.revision}"'})
