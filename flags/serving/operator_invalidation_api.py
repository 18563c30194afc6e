"""The address at which operators make processes read again what they cache."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import FLAG_KEY_PATTERN
from flags.serving import operator_invalidation
from flags.serving.operator_invalidation_serializers import LONGEST_BODY, InvalidatedSerializer, WhatToReadAnew
from orgs.access.endpoints import TakesLongBodies
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent


class InvalidateCache(TakesLongBodies):
    """Makes every web process read anew."""

    roles: ClassVar = {"POST": Role.OPERATOR}
    longest_body = LONGEST_BODY

    @extend_schema(
        operation_id="invalidateCache",
        summary="Have every web process read anew what it keeps in memory",
        request=WhatToReadAnew,
        responses=InvalidatedSerializer,
        tags=["operation"],
        description=f"Flags are named as in paths: {FLAG_KEY_PATTERN}. Needed only after changes past Flagsite.",
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Tells all processes; each of them reads what it is asked for next from the database."""
        wanted = WhatToReadAnew.read(request)
        result = operator_invalidation.invalidate(
            self.caller,
            everything=wanted["all"],
            organizations=wanted["organizationIds"],
            flag_keys=wanted["featureFlags"],
        )
        return Response(InvalidatedSerializer(result).data)
