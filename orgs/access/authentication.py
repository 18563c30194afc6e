"""Authentication of requests by an access key or by a session of the admin site; both give a `Caller`."""

from __future__ import annotations

import re

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orgs.access.access_keys import usable_keys
from orgs.access.caller import Caller
from orgs.access.key_uses import record_use
from orgs.access.models import Role
from orgs.access.people import caller_for

KEY_FORMAT = re.compile(r"[A-Za-z0-9]{1,8}\.[A-Za-z0-9]{1,128}", re.ASCII)


class AccessKeyAuthentication(BaseAuthentication):
    """Authentication by `Authorization: Bearer KEY` or `X-API-Key: KEY`, with one query; once a minute with two.

    Revoked and expired keys are not valid. The database's clock decides whether a key has expired.
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
    """Authentication by the session of the admin site, with protection against forged requests (CSRF).

    A person's groups decide the role, and a `StaffScope` decides the scope. People who are not staff are not callers.
    """

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        signed_in = super().authenticate(request)
        caller = caller_for(signed_in[0]) if signed_in else None
        return (caller, caller) if caller else None


def caller_with(key: str) -> Caller | None:
    """Return the caller of this access key, or None if the key is unknown, revoked or expired."""
    if not KEY_FORMAT.fullmatch(key):
        return None
    record = usable_keys().filter(prefix=key.partition(".")[0]).first()
    if record is None or not record.is_valid(key):
        return None
    record_use(record.pk)
    return Caller(f"key:{record.prefix} {record.name}", Role(record.role), record.organization_id)


def _key_sent_with(request: Request) -> str | None:
    """Return the access key in one of the two headers, or None if the request has neither."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-API-Key")
