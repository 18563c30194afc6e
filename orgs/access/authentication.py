"""Who sends a request: an access key, or a person signed in to the admin site. Both become a `Caller`."""

from __future__ import annotations

import re

from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.access.people import caller_for

PLAUSIBLE_KEY = re.compile(r"[A-Za-z0-9]{1,8}\.[A-Za-z0-9]{1,128}", re.ASCII)


class AccessKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY` or `X-API-Key: KEY`, looked up in one query.

    Revoked and expired keys are as good as none; when they expired is decided by the database's clock.
    """

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        key = _key_sent_with(request)
        if key is None:
            return None
        caller = caller_with(key)
        if caller is None:
            raise AuthenticationFailed("The access key is not valid: unknown, revoked or expired.")
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="flagsite"'


class AdminSessionAuthentication(SessionAuthentication):
    """The session of the admin site, with its protection against forged requests (CSRF).

    Groups decide what they may do, a `StaffScope` what they see; people who are not staff are nobody here.
    """

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        signed_in = super().authenticate(request)
        caller = caller_for(signed_in[0]) if signed_in else None
        return (caller, caller) if caller else None


def caller_with(key: str) -> Caller | None:
    """The caller whom this access key belongs to; None for a key that is unknown, revoked or expired."""
    if not PLAUSIBLE_KEY.fullmatch(key):
        return None
    unexpired = Q(expiry_date__isnull=True) | Q(expiry_date__gt=Now())
    found = AccessKey.objects.filter(unexpired, prefix=key.partition(".")[0], revoked=False).first()
    if found is None or not found.is_valid(key):
        return None
    return Caller(f"key:{found.prefix} {found.name}", Role(found.role), found.organization_id)


def _key_sent_with(request: Request) -> str | None:
    """The key of either header; None when neither is meant for us."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-API-Key")
