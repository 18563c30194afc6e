"""The endpoints of one flag's setting on one organization: read it, set, lock or reset it, and plan that."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import Flag
from flags.definitions.refusals import unknown_flag
from flags.definitions.visible_flags import find_visible_flag
from flags.definitions.who_may_define import may_define
from flags.states import planning
from flags.states.api import FLAG_NAME
from flags.states.choices import Choice
from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.organization_settings import locks_named_for, sees, setting_on
from flags.states.plan_figures import figures
from flags.states.plan_serializers import PlanSerializer
from flags.states.set_flag import AcceptedChange, check_can_be_set, reset_flag_on, set_flag_on
from flags.states.setting_rules import Below
from flags.states.setting_serializers import (
    ExemptionInput,
    PlanInput,
    ResetOptions,
    SettingChangedSerializer,
    SettingInput,
    SettingSerializer,
)
from flagsite.core.api.input import ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.api.serializers import tracking_url
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import (
    find_visible_organization,
    hold_visible_organization,
    watch_visible_organization,
)
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of
from orgs.tree.references import Reference


class SettingOfOrganization(Endpoint):
    """The setting of one flag on one organization."""

    roles: ClassVar = {"GET": Role.READER, "PUT": Role.EDITOR, "DELETE": Role.EDITOR}

    @extend_schema(
        operation_id="getSetting",
        summary="Read a flag's setting on an organization",
        parameters=[FLAG_NAME],
        responses=SettingSerializer,
        tags=["flags"],
    )
    @snapshot()
    def get(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """The organization's own setting, the value that all settings on the path decide, and what a lock masks."""
        found = find_visible_organization(self.caller, organization)
        flag = find_visible_flag(self.caller, featureFlagName)
        return Response(SettingSerializer(setting_on(self.caller, found, flag)).data)

    @extend_schema(
        operation_id="putSetting",
        summary="Set or lock a flag on an organization",
        request=SettingInput,
        parameters=[FLAG_NAME],
        responses={200: SettingChangedSerializer, 202: SettingChangedSerializer},
        tags=["flags"],
    )
    @idempotent
    def put(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """200: everything is written. 202: a job writes the organizations below; `trackingUrl` shows the progress.

        Settings below stay, unless you say `below: overwrite`. A lock keeps everybody from setting the flag below.
        """
        with locks_named_for(self.caller), hold_visible_organization(self.caller, organization) as held:
            arguments = SettingInput.arguments(SettingInput.read(request))
            accepted = set_flag_on(
                held, flag_key=featureFlagName, **arguments, requested_by=self.caller.name,
                correlation_id=self.correlation_id, may_define=may_define(self.caller),
            )  # fmt: skip
            return changed(self.caller, held, accepted.flag, accepted)

    @extend_schema(
        operation_id="resetSetting",
        summary="Reset a flag on an organization to the inherited value",
        request=ReasonInput,
        parameters=[FLAG_NAME, ResetOptions],
        responses={200: SettingChangedSerializer, 202: SettingChangedSerializer},
        tags=["flags"],
    )
    @idempotent
    def delete(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """The organization's own set or lock ends; with `subtree=true`, the settings below end too.

        200: everything is written, or nothing was set. 202: a job writes the organizations below.
        """
        options = ResetOptions.read(request)
        ReasonInput.read(request)
        with locks_named_for(self.caller), hold_visible_organization(self.caller, organization) as held:
            flag = find_visible_flag(self.caller, featureFlagName)
            accepted = reset_flag_on(
                held, flag_key=featureFlagName, subtree=options["subtree"],
                agreed=planning.Agreed(options.get("atMost"), options.get("planHash", "")),
                requested_by=self.caller.name, correlation_id=self.correlation_id,
            )  # fmt: skip
            return changed(self.caller, held, flag, accepted)


def changed(caller: Caller, organization: Organization, flag: Flag, accepted: AcceptedChange | None) -> Response:
    """Return the answer to a change of a setting or an exemption: the flag on the organization now."""
    job = accepted.job if accepted else None
    change: dict[str, Any] = {
        "changeNumber": accepted.change.number if accepted else None,
        "settingsEnded": accepted.settings_ended if accepted else 0,
        "processedImmediately": job is None,
        "jobId": job.pk if job else None,
        "trackingUrl": tracking_url(job.pk) if job else None,
    }
    found = setting_on(caller, organization, flag)
    answer = SettingChangedSerializer(found, context={"change": change}).data
    if job is None:
        return Response(answer)
    return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(job.pk)})


class ExemptionOfOrganization(Endpoint):
    """The exemption of one organization from the lock of a flag."""

    roles: ClassVar = {"PUT": Role.EDITOR, "DELETE": Role.EDITOR}

    @extend_schema(
        operation_id="putExemption",
        summary="Exempt an organization from the lock of a flag",
        request=ExemptionInput,
        parameters=[FLAG_NAME],
        responses={200: SettingChangedSerializer, 202: SettingChangedSerializer},
        tags=["flags"],
    )
    @idempotent
    def put(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """The lock that holds does not hold here and below any more, nor any lock between the two.

        Only a key that sees the organization with the lock may do this. 200 and 202 as for a setting.
        """
        with hold_visible_organization(self.caller, organization) as held:
            values = ExemptionInput.read(request)
            flag = find_visible_flag(self.caller, featureFlagName)
            accepted = exempt_on(
                held, flag_key=flag.key, until=values.get("expiresAt"), requested_by=self.caller.name,
                correlation_id=self.correlation_id,
                may_lift=partial(sees, self.caller),
            )  # fmt: skip
            return changed(self.caller, held, flag, accepted)

    @extend_schema(
        operation_id="endExemption",
        summary="End the exemption of an organization from the lock of a flag",
        request=ReasonInput,
        parameters=[FLAG_NAME],
        responses={200: SettingChangedSerializer, 202: SettingChangedSerializer},
        tags=["flags"],
    )
    @idempotent
    def delete(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """The lock holds again. Without an exemption, nothing is to do."""
        with hold_visible_organization(self.caller, organization) as held:
            ReasonInput.read(request)
            flag = find_visible_flag(self.caller, featureFlagName)
            accepted = end_exemption_on(
                held, flag_key=flag.key, requested_by=self.caller.name, correlation_id=self.correlation_id
            )
            return changed(self.caller, held, flag, accepted)


def context_of(caller: Caller, plan: planning.Plan) -> dict[str, Any]:
    """Return what `PlanSerializer` needs beside the plan."""
    flag_id = plan.flag.pk
    return {
        "figures": figures(caller, plan.subtree, plan.changes, [flag_id] if flag_id else []),
        "paths": path_names_of({part.organization_id for part in plan.samples}, top_id=caller.organization_id),
        "custom": planning.custom_values_of(plan.samples, plan.planned),
    }


class PlanOfSetting(Endpoint):
    """The plan of a change of one flag on one organization."""

    roles: ClassVar = {"POST": Role.READER}

    @extend_schema(
        operation_id="planSetting",
        summary="Plan a change of a flag on an organization",
        request=PlanInput,
        parameters=[FLAG_NAME],
        responses=PlanSerializer,
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request, organization: Reference, featureFlagName: str) -> Response:  # noqa: N803
        """How many organizations would get another value, keep their own, or stand below a lock. Nothing is written."""
        with locks_named_for(self.caller), watch_visible_organization(self.caller, organization) as found:
            values = PlanInput.read(request)
            flag = check_can_be_set(featureFlagName, found.pk, may_define=may_define(self.caller))
            if flag is None and values["reset"]:
                raise unknown_flag(featureFlagName, known_to=found.pk)
            flag = flag or Flag(key=featureFlagName)
            if values["reset"]:
                plan = planning.of_reset(found.subtree, flag, below=values["subtree"])
            else:
                plan = planning.of_set(
                    found.subtree, Choice.among(values).of(flag), below=Below(values["below"]),
                    only_here=values["reach"] == "here",
                )  # fmt: skip
            return Response(PlanSerializer(plan, context=context_of(self.caller, plan)).data)
