"""Access to data about the whole installation: for a scraper with METRICS_TOKEN, or a caller without a scope."""

from __future__ import annotations

import hmac
from typing import ClassVar

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from orgs.access.authentication import AccessKeyAuthentication, AdminSessionAuthentication
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role


class MetricsTokenAuthentication(BaseAuthentication):
    """Authentication by `Authorization: Bearer …` with METRICS_TOKEN. It needs no database."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        expected_token = settings.METRICS_TOKEN
        if scheme.lower() != "bearer" or not expected_token:
            return None
        if not hmac.compare_digest(token.strip().encode(), expected_token.encode()):
            return None  # it may be an access key
        caller = Caller("metrics-token", Role.READER)
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="flagsite"'


class ScraperEndpoint(Endpoint):
    """An endpoint about the whole installation."""

    authentication_classes: ClassVar = [
        MetricsTokenAuthentication,
        AccessKeyAuthentication,
        AdminSessionAuthentication,
    ]

    def check_sees_everything(self) -> None:
        """Raise PermissionDenied if the caller has a scope."""
        if self.caller.organization_id is not None:
            raise PermissionDenied(
                "These data are about the whole installation, but your key is bound to an organization."
            )
