"""The endpoints that set flags on organizations and read the values of organizations."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import connection
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import FLAG_KEY_PATTERN, Flag, check_flag_key
from flags.definitions.refusals import unknown_flag
from flags.definitions.visible_flags import is_visible, visible_flags
from flags.definitions.who_may_define import may_define
from flags.errors import BeforeHistory
from flags.history import past_states
from flags.history.moments import find_moment
from flags.history.past_definitions import no_flag
from flags.history.past_settings import past_path
from flags.history.serializers import PastReadOptions, PastStateSerializer
from flags.states import selectors
from flags.states.organization_settings import locks_named_for
from flags.states.selectors import EffectiveState
from flags.states.serializers import (
    EffectiveStateSerializer,
    FeatureFlagSerializer,
    SetImmediatelySerializer,
    SetInBackgroundSerializer,
)
from flags.states.set_flag import AcceptedChange, set_flag_on
from flagsite.core.api.input import ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.api.serializers import tracking_url
from jobs.engine.chains import tracked
from jobs.engine.models import Job
from jobs.engine.states import Status
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization, hold_visible_organization
from orgs.errors import OrganizationNotFound
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.models import Organization
from orgs.tree.references import Reference

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
    hint_for_other_methods = "To read the flag, send GET to this address without its last part."

    @extend_schema(
        operation_id="setFeatureFlag",
        summary="Set a flag on an organization and everything below it",
        request=ReasonInput,
        parameters=[FLAG_NAME, ENABLED],
        responses={200: SetImmediatelySerializer, 202: SetInBackgroundSerializer},
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, orgId: Reference, featureFlagName: str, enabled: str) -> Response:  # noqa: N803
        """200: the value is written. 202: a job writes it to everything below; `trackingUrl` shows the progress."""
        ReasonInput.read(request)
        value = _boolean(enabled)
        with locks_named_for(self.caller), hold_visible_organization(self.caller, orgId) as organization:
            accepted = set_flag_on(
                organization,
                flag_key=featureFlagName,
                enabled=value,
                requested_by=self.caller.name,
                correlation_id=self.correlation_id,
                may_define=may_define(self.caller),
            )
            if accepted.job is None:
                return _immediate_response(
                    accepted, selectors.effective_state(organization=organization, flag_key=featureFlagName)
                )
        return _response_with_job(accepted, accepted.job, organization)


class OneState(Endpoint):
    """The value of one flag for an organization."""

    roles: ClassVar = {"GET": Role.READER}
    hint_for_other_methods = "To set the flag, send POST to this address with /true or /false after it."

    @extend_schema(
        operation_id="getFeatureFlag",
        summary="Read a flag's value for an organization",
        parameters=[FLAG_NAME, PastReadOptions],
        responses=PastStateSerializer,
        tags=["flags"],
    )
    def get(self, request: Request, orgId: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """`enabled` is what holds; `storedValue` is what was set here or above, or else the default.

        The answer also names the organization on which the stored value was set, and the job that wrote it. With `at`,
        it is the answer of that moment.
        """
        options = PastReadOptions.read(request)
        if "at" in options:
            return self._then(orgId, featureFlagName, **options)
        organization = find_visible_organization(self.caller, orgId)
        state = selectors.effective_state(organization=organization, flag_key=featureFlagName, **options)
        if state.source_organization_id is None and not is_visible(self.caller, state.flag_id):
            raise unknown_flag(featureFlagName, known_to=organization.pk)
        return Response(EffectiveStateSerializer(state).data)

    @snapshot()
    def _then(self, organization: Reference, flag_key: str, *, at: str, environment: str | None = None) -> Response:
        check_flag_key(flag_key)
        found = find_visible_organization(self.caller, organization)
        moment = find_moment(self.caller, at)
        is_known = visible_flags(self.caller).filter(key=flag_key).exists()
        try:
            state = past_states.past_state(self.caller, found.pk, flag_key, moment, environment)
        except (BeforeHistory, OrganizationNotFound) as error:
            raise error if is_known else no_flag(flag_key, moment) from None
        if state.source_organization_id is None and not is_known:
            raise no_flag(flag_key, moment)
        return Response(PastStateSerializer(state).data)


class StatesOfOrganization(ListEndpoint):
    """The values of all flags for an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listFeatureFlags",
        summary="List all flags' values for an organization",
        parameters=[PastReadOptions],
        responses=PastStateSerializer(many=True),
        tags=["flags"],
    )
    def get(self, request: Request, organization: Reference) -> Response:
        """All flags that were ever set on the organization or above it, in the order of their ids.

        With `at`, it is the answer of that moment.
        """
        options = self.filters(request, PastReadOptions)
        if "at" in options:
            return self._then(request, organization, **options)
        found = find_visible_organization(self.caller, organization)
        states = self.rows(request, selectors.effective_states(found))
        return self.page(EffectiveStateSerializer, selectors.as_effective(found, states, **options))

    @snapshot()
    def _then(self, request: Request, organization: Reference, *, at: str, environment: str | None = None) -> Response:
        found = find_visible_organization(self.caller, organization)
        path = past_path(self.caller, found.pk, find_moment(self.caller, at))
        flags = self.rows(request, Flag.objects.filter(pk__in=past_states.flags_with_values(path)).order_by("id"))
        return self.page(PastStateSerializer, past_states.past_states(path, [flag.pk for flag in flags], environment))


def _boolean(word: str) -> bool:
    if word not in {"true", "false"}:
        raise ValidationError({"enabled": ["Write true or false."]})
    return word == "true"


def _immediate_response(accepted: AcceptedChange, state: EffectiveState, job: Job | None = None) -> Response:
    answer: dict[str, Any] = {
        "featureFlag": FeatureFlagSerializer(state).data,
        "message": "Feature flag updated immediately",
        "processedImmediately": True,
        "jobId": job.pk if job else None,
        "changeNumber": accepted.change.number,
        "created": accepted.created,
    }
    return Response(answer)


def _response_with_job(accepted: AcceptedChange, job: Job, organization: Organization) -> Response:
    """The answer for an organization with children. With JOBS_INLINE, the job has run already, in this request."""
    message = "Background processing started for organization hierarchy"
    if settings.JOBS_INLINE:
        job.refresh_from_db()
        (one,) = tracked([job])
        if one.standing.status == Status.COMPLETED and not one.standing.failed:
            state = selectors.effective_state(organization=organization, flag_key=accepted.flag.key)
            return _immediate_response(accepted, state, job)
        if one.standing.is_final:
            message = f"The job has ended as {one.standing.status}: {one.standing.error_message}"
        elif connection.in_atomic_block:  # the job runs after the commit, but before the client gets this answer
            message = "The job runs in this request; trackingUrl tells how it ended"
    return _background_response(accepted, job, message)


def _background_response(accepted: AcceptedChange, job: Job, message: str) -> Response:
    change, url = accepted.change, tracking_url(job.pk)
    off = selectors.why_off_for_everybody(accepted.flag.key) if accepted.may_be_off_for_everybody else None
    answer = {
        "message": message,
        "processedImmediately": False,
        "jobId": job.pk,
        "trackingUrl": url,
        "organizationId": change.organization_id,
        "featureFlagName": accepted.flag.key,
        "enabled": change.enabled,
        "offForEverybody": off.rule if off else None,
        "changeNumber": change.number,
        "created": accepted.created,
    }
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": url})
