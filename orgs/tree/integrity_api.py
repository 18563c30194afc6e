"""The endpoints of the check of the tree, and of its repair."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent
from orgs.tree import tree_operations
from orgs.tree.integrity_serializers import TreeCheckSerializer

THE_TREE = "the tables of the tree"


class TreeCheck(Endpoint):
    """The check of the tree."""

    roles: ClassVar = {"GET": Role.ADMIN}

    @extend_schema(
        operation_id="checkTree",
        summary="Check the tree of organizations",
        responses=TreeCheckSerializer,
        tags=["organizations"],
    )
    def get(self, request: Request) -> Response:
        """Compare the columns `lft`, `rght`, `level`, `tree_id` and `descendant_count` with the parent links.

        The check reads all organizations. A bound access key may not do this.
        """
        self.check_is_unbound(THE_TREE)
        QuerySerializer.read(request)
        return Response(TreeCheckSerializer(tree_operations.check()).data)


class TreeRepair(Endpoint):
    """The repair of the tree."""

    roles: ClassVar = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="repairTree",
        summary="Check and repair the tree of organizations",
        request=ReasonInput,
        responses=TreeCheckSerializer,
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Write the columns as the parent links require, if they differ. Other changes wait while it writes.

        A bound access key may not do this.
        """
        self.check_is_unbound(THE_TREE)
        ReasonInput.read(request)
        return Response(TreeCheckSerializer(tree_operations.check_and_repair()).data)
