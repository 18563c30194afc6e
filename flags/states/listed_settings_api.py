"""The endpoints that list settings: where people have set, locked or exempted a flag."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.models import FLAG_KEY_PATTERN
from flags.definitions.visible_flags import find_visible_flag
from flags.states.listed_settings import settings_of_flag, settings_of_organization, with_places
from flags.states.listed_settings_serializers import ListedSettingSerializer, SettingFilters, SettingOfFlagFilters
from flagsite.core.db.snapshot import snapshot
from orgs.access.endpoints import ListEndpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.tree.references import Reference

NAME = OpenApiParameter("name", {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"}, OpenApiParameter.PATH)


class SettingsOfFlag(ListEndpoint):
    """The settings of one flag."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listSettingsOfFlag",
        summary="List where a flag is set, locked or exempt",
        parameters=[NAME, SettingOfFlagFilters],
        responses=ListedSettingSerializer(many=True),
        tags=["flags"],
    )
    @snapshot()
    def get(self, request: Request, name: str) -> Response:
        """The settings of the flag on the organizations that the key sees, in the order of the organizations' ids."""
        filters = self.filters(request, SettingOfFlagFilters)
        flag = find_visible_flag(self.caller, name)
        top_id = filters.get("organization", self.caller.organization_id)
        top = find_visible_organization(self.caller, top_id) if top_id is not None else None
        settings = self.rows(request, settings_of_flag(flag, top, filters.get("kind", "")))
        return self.page(ListedSettingSerializer, with_places(self.caller, settings))


class SettingsOfOrganization(ListEndpoint):
    """The settings of one organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listSettingsOfOrganization",
        summary="List what is set, locked or exempt on an organization",
        parameters=[SettingFilters],
        responses=ListedSettingSerializer(many=True),
        tags=["flags"],
    )
    @snapshot()
    def get(self, request: Request, organization: Reference) -> Response:
        """The settings that were made on the organization itself, in the order of the flags' ids."""
        filters = self.filters(request, SettingFilters)
        found = find_visible_organization(self.caller, organization)
        settings = self.rows(request, settings_of_organization(found, filters.get("kind", "")))
        return self.page(ListedSettingSerializer, with_places(self.caller, settings))
