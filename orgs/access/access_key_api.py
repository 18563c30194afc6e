"""The endpoints of access keys."""

from __future__ import annotations

from typing import ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import ReasonInput
from orgs.access import authorized_keys
from orgs.access.access_key_serializers import (
    AccessKeyFilters,
    AccessKeySerializer,
    AccessKeyWithPlansSerializer,
    CreatedAccessKeySerializer,
    NewAccessKey,
    RevokedAccessKeySerializer,
    Rotation,
)
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import AccessKey, Role
from orgs.idempotency.stored_answers import idempotent, shown_once

PREFIX = OpenApiParameter(
    "prefix",
    {"type": "string", "pattern": "^[A-Za-z0-9]{1,8}$"},
    OpenApiParameter.PATH,
    description="The beginning of the key, up to the dot.",
)


class AccessKeys(ListEndpoint):
    """The list of access keys."""

    roles: ClassVar = {"GET": Role.ADMIN, "POST": Role.ADMIN}

    @extend_schema(
        operation_id="listAccessKeys",
        summary="List access keys",
        parameters=[AccessKeyFilters],
        responses=AccessKeySerializer(many=True),
        tags=["access"],
    )
    def get(self, request: Request) -> Response:
        """The access keys that the caller may see, newest first, with the revoked ones and without secrets."""
        filters = self.filters(request, AccessKeyFilters)
        keys = authorized_keys.visible_keys(self.caller).filter(**filters)
        return self.page(AccessKeySerializer, self.rows(request, keys))

    @extend_schema(
        operation_id="createAccessKey",
        summary="Create an access key",
        request=NewAccessKey,
        responses={201: CreatedAccessKeySerializer},
        tags=["access"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a key with at most your own role and scope. The answer shows the key, once."""
        key, secret = authorized_keys.create(self.caller, **NewAccessKey.read(request))
        return _created_response(key, secret)


class OneAccessKey(Endpoint):
    """A single access key."""

    roles: ClassVar = {"GET": Role.ADMIN}

    @extend_schema(
        operation_id="getAccessKey",
        summary="Read an access key",
        parameters=[PREFIX],
        responses=AccessKeyWithPlansSerializer,
        tags=["access"],
    )
    def get(self, request: Request, prefix: str) -> Response:
        """The access key without its secret part, and the scheduled changes that end if you revoke it."""
        return Response(AccessKeyWithPlansSerializer(authorized_keys.find(self.caller, prefix)).data)


class RotateAccessKey(Endpoint):
    """The rotation of an access key."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="rotateAccessKey",
        summary="Replace an access key by a new one",
        request=Rotation,
        parameters=[PREFIX],
        responses={201: CreatedAccessKeySerializer},
        tags=["access"],
    )
    @idempotent
    def post(self, request: Request, prefix: str) -> Response:
        """Create a successor with the same name, role and organization. For a while, both keys are valid."""
        key, secret = authorized_keys.rotate(self.caller, prefix, **Rotation.read(request))
        return _created_response(key, secret)


class RevokeAccessKey(Endpoint):
    """The end of an access key."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="revokeAccessKey",
        summary="Revoke an access key",
        request=ReasonInput,
        parameters=[PREFIX],
        responses=RevokedAccessKeySerializer,
        tags=["access"],
    )
    @idempotent
    def post(self, request: Request, prefix: str) -> Response:
        """Revoke the key for ever, and cancel what it has scheduled. Flagsite then refuses every request with it."""
        ReasonInput.read(request)
        key, ended = authorized_keys.revoke(self.caller, prefix)
        return Response(RevokedAccessKeySerializer(key, context={"ended": ended}).data)


def _created_response(key: AccessKey, secret: str) -> Response:
    data = CreatedAccessKeySerializer(key, context={"secret": secret}).data
    location = reverse("access-key", args=[key.prefix])
    headers = {"Location": location, "Cache-Control": "no-store, private"}
    return shown_once(Response(data, status=status.HTTP_201_CREATED, headers=headers), "key")
