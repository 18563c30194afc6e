"""The endpoints of OpenFeature's Manifest API: /openfeature/v0/manifest."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from flags.definitions import service
from flags.definitions.models import FLAG_KEY_PATTERN
from flags.definitions.refusals import archived_flag, unknown_flag
from flags.definitions.visible_flags import visible_flags
from flags.definitions.who_may_define import check_may_define, may_define
from flags.manifest.default_values import changed_fields, new_fields
from flags.manifest.serializers import (
    ArchivedManifestFlagSerializer,
    ChangedManifestFlag,
    ManifestSerializer,
    NewManifestFlag,
    WrittenManifestFlagSerializer,
)
from flags.values.checks import checked_value
from flagsite.core.api.input import ReasonInput
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

KEY = OpenApiParameter("key", {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"}, OpenApiParameter.PATH)
CAPABILITIES = OpenApiParameter(
    "X-Manifest-Capabilities",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="What the access key may do with the manifest: `read`, or `read,write,delete`.",
)


class ManifestEndpoint(Endpoint):
    """A view of the protocol: answers name the capabilities of the caller, and errors have the protocol's `error` too.

    An error stays a problem document (RFC 9457), whose member `error` is what clients of the protocol read.
    """

    def answer(self, serializer: BaseSerializer[Any], *, status: int = status.HTTP_200_OK, **headers: str) -> Response:
        """Return an answer with the capabilities of the caller."""
        capabilities = "read,write,delete" if may_define(self.caller) else "read"
        return Response(serializer.data, status=status, headers={"X-Manifest-Capabilities": capabilities, **headers})

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if isinstance(response.data, dict):
            error = {"message": response.data["detail"], "status": response.status_code}
            details = response.data.get("errors")
            response.data["error"] = error | ({"details": details} if details else {})
        return response


class Manifest(ManifestEndpoint):
    """The manifest."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getManifest",
        summary="Read the manifest of OpenFeature's command line tool",
        parameters=[CAPABILITIES],
        responses=ManifestSerializer,
        tags=["definitions"],
    )
    def get(self, request: Request) -> Response:
        """All flags that are not archived, with type and default, in the order of their keys.

        For a bound access key, only flags exist that have to do with its subtree.
        """
        flags = visible_flags(self.caller).filter(archived=False).order_by("key")
        return self.answer(ManifestSerializer({"flags": flags}))


class ManifestFlags(ManifestEndpoint):
    """The flags of the manifest."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="createManifestFlag",
        summary="Define a flag of the manifest",
        request=NewManifestFlag,
        parameters=[CAPABILITIES],
        responses={201: WrittenManifestFlagSerializer},
        tags=["definitions"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A key that exists is refused, also an archived one.

        `defaultValue` becomes the default of a boolean flag. A flag with another type is on, and gets one variant
        `default` with this value.
        """
        check_may_define(self.caller)
        values = NewManifestFlag.read(request)
        fields = _described(values) | new_fields(values["type"], _value_in(values))
        flag = service.create(key=values["key"], values=fields, by=self.caller.name)
        location = reverse("definition", args=[flag.key])
        written = WrittenManifestFlagSerializer({"flag": flag})
        return self.answer(written, status=status.HTTP_201_CREATED, Location=location)


class OneManifestFlag(ManifestEndpoint):
    """A single flag of the manifest."""

    roles: ClassVar = {"PUT": Role.EDITOR, "DELETE": Role.EDITOR}

    @extend_schema(
        operation_id="replaceManifestFlag",
        summary="Change a flag of the manifest",
        request=ChangedManifestFlag,
        parameters=[KEY, CAPABILITIES],
        responses=WrittenManifestFlagSerializer,
        tags=["definitions"],
    )
    @idempotent
    def put(self, request: Request, key: str) -> Response:
        """Changes the description and the default. All other parts of the definition stay.

        If a variant has the value of `defaultValue`, it becomes the default variant. If none has, the default variant
        gets this value.
        """
        check_may_define(self.caller)
        values = ChangedManifestFlag.read(request)
        if values["key"] != key:
            raise ValidationError({"key": ["The key of the body is not that of the address. Send the same key."]})
        with transaction.atomic():
            service.lock_definitions()
            flag = service.flag_called(key)
            if flag.archived:
                raise archived_flag(key)
            fields = _described(values) | {"type": values["type"]}
            if "defaultValue" in values and values["type"] == flag.type:
                fields |= changed_fields(flag, _value_in(values))
            changed = service.update(key=key, values=fields, by=self.caller.name)
        return self.answer(WrittenManifestFlagSerializer({"flag": changed}))

    @extend_schema(
        operation_id="archiveManifestFlag",
        summary="Archive a flag of the manifest",
        request=None,
        parameters=[KEY, CAPABILITIES],
        responses={200: ArchivedManifestFlagSerializer},
        tags=["definitions"],
    )
    @idempotent
    def delete(self, request: Request, key: str) -> Response:
        """Archives the flag: it is off for everybody, and its values stay."""
        check_may_define(self.caller)
        ReasonInput.read(request)
        if service.flag_called(key).archived:
            raise unknown_flag(key)
        flag = service.archive(key=key, by=self.caller.name)
        message = f"The flag {key!r} is archived. Unarchive it in the admin site, or with the command unarchive_flag."
        return self.answer(ArchivedManifestFlagSerializer({"message": message, "archivedAt": flag.updated_at}))


def _value_in(values: dict[str, Any]) -> Any:
    """Return the default value in the body of a write, which has to be of its type."""
    try:
        return checked_value(values["type"], values["defaultValue"])
    except DjangoValidationError as error:
        raise ValidationError({"defaultValue": list(error.messages)}) from error


def _described(values: dict[str, Any]) -> dict[str, Any]:
    """Return the description in the body of a write. Null is none."""
    return {"description": values["description"] or ""} if "description" in values else {}
