"""The endpoints that set flags on organizations and read the values of organizations."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import FLAG_KEY_PATTERN
from flags.states import selectors
from flags.states.selectors import EffectiveState
from flags.states.serializers import (
    EffectiveStateSerializer,
    FeatureFlagSerializer,
    SetImmediatelySerializer,
    SetInBackgroundSerializer,
)
from flags.states.set_flag import AcceptedChange, set_flag
from flagsite.core.api.input import ReasonInput
from jobs.api.serializers import tracking_url
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization, hold_visible_organization
from orgs.idempotency.stored_answers import idempotent

FLAG_NAME = OpenApiParameter(
    "featureFlagName",
    {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"},
    OpenApiParameter.PATH,
    description="1 to 255 of the characters A-Z a-z 0-9 . _ -, starting with a letter or digit.",
)
ENABLED = OpenApiParameter("enabled", str, OpenApiParameter.PATH, enum=["true", "false"])


class SetFlag(Endpoint):
    """Set a flag on an organization."""

    roles: ClassVar = {"POST": Role.EDITOR}

    @extend_schema(
        operation_id="setFeatureFlag",
        summary="Set a flag on an organization and everything below it",
        request=ReasonInput,
        parameters=[FLAG_NAME, ENABLED],
        responses={200: SetImmediatelySerializer, 202: SetInBackgroundSerializer},
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, orgId: int, featureFlagName: str, enabled: str) -> Response:  # noqa: N803
        """200: the value is written. 202: a job writes it to everything below; `trackingUrl` shows the progress."""
        ReasonInput.read(request)
        value = _boolean(enabled)
        with hold_visible_organization(self.caller, orgId) as organization:
            accepted = set_flag(
                organization_id=organization.pk,
                flag_key=featureFlagName,
                enabled=value,
                requested_by=self.caller.name,
                correlation_id=self.correlation_id,
            )
        return _immediate_response(accepted) if accepted.job is None else _background_response(accepted)


class OneState(Endpoint):
    """The value of one flag for an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getFeatureFlag",
        summary="Read a flag's value for an organization",
        parameters=[FLAG_NAME],
        responses=EffectiveStateSerializer,
        tags=["flags"],
    )
    def get(self, request: Request, orgId: int, featureFlagName: str) -> Response:  # noqa: N803
        """The value, the organization on which it was set, and the job that wrote it; the default if nobody set it."""
        organization = find_visible_organization(self.caller, orgId)
        state = selectors.effective_state(organization=organization, flag_key=featureFlagName)
        return Response(EffectiveStateSerializer(state).data)


class StatesOfOrganization(ListEndpoint):
    """The values of all flags for an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listFeatureFlags",
        summary="List all flags' values for an organization",
        responses=EffectiveStateSerializer(many=True),
        tags=["flags"],
    )
    def get(self, request: Request, organization_id: int) -> Response:
        """All flags that were ever set on the organization or above it, in the order of their ids."""
        self.filters(request)
        organization = find_visible_organization(self.caller, organization_id)
        states = self.rows(request, selectors.effective_states(organization))
        return self.page(EffectiveStateSerializer, selectors.as_effective(organization, states))


def _boolean(word: str) -> bool:
    if word not in {"true", "false"}:
        raise ValidationError({"enabled": ["Write true or false."]})
    return word == "true"


def _immediate_response(accepted: AcceptedChange) -> Response:
    change, flag = accepted.change, accepted.flag
    state = EffectiveState(flag.pk, flag.key, change.organization_id, change.enabled)
    answer: dict[str, Any] = {
        "featureFlag": FeatureFlagSerializer(state).data,
        "message": "Feature flag updated immediately",
        "processedImmediately": True,
        "jobId": None,
    }
    return Response(answer)


def _background_response(accepted: AcceptedChange) -> Response:
    change, job_id = accepted.change, accepted.job.pk if accepted.job else 0
    url = tracking_url(job_id)
    answer = {
        "message": "Background processing started for organization hierarchy",
        "processedImmediately": False,
        "jobId": job_id,
        "trackingUrl": url,
        "organizationId": change.organization_id,
        "featureFlagName": accepted.flag.key,
        "enabled": change.enabled,
    }
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": url})
