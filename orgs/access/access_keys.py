"""Access keys: create, list and revoke. Flagsite shows a key once, when it is created, and stores only its hash."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from orgs.access.models import AccessKey, Role
from orgs.audit import audit_log
from orgs.errors import AccessKeyNotFound, InvalidKeyName
from orgs.tree.models import Organization

MAX_NAME_LENGTH = 50


def create(
    *, name: str, role: Role = Role.READER, organization: Organization | None = None, expires: datetime | None = None
) -> tuple[AccessKey, str]:
    """Create an access key; return its row and the secret key, which cannot be read again. Raises InvalidKeyName."""
    if not is_valid_name(name):
        raise InvalidKeyName
    record = AccessKey(name=name, role=role, organization=organization, expiry_date=expires)
    key: str = AccessKey.objects.assign_key(record)
    with transaction.atomic():
        record.save()
        _record("key.create", record, role=role, expiresAt=expires.isoformat() if expires else None)
    return record, key


def is_valid_name(text: str) -> bool:
    """Return whether an access key may have this name."""
    return 1 <= len(text.strip()) <= MAX_NAME_LENGTH and text.isprintable()


def as_json(key: AccessKey) -> dict[str, Any]:
    """Return the public fields of an access key, as JSON has them."""
    state = "revoked" if key.revoked else "expired" if key.has_expired else "valid"
    return {
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role,
        "organizationId": key.organization_id,
        "state": state,
        "createdAt": key.created.astimezone(UTC).isoformat(),
        "expiresAt": key.expiry_date.astimezone(UTC).isoformat() if key.expiry_date else None,
    }


def all_keys() -> QuerySet[AccessKey]:
    """Return all access keys with their organizations, newest first, including the revoked ones."""
    return AccessKey.objects.select_related("organization").order_by("-created", "pk")


def usable_keys() -> QuerySet[AccessKey]:
    """Return the access keys that are valid now: not revoked, and not expired by the clock of the database."""
    return AccessKey.objects.filter(Q(expiry_date__isnull=True) | Q(expiry_date__gt=Now()), revoked=False)


def revoke(*, prefix: str) -> AccessKey:
    """Revoke an access key for ever. Revoking it again is not an error. Raises AccessKeyNotFound."""
    key = AccessKey.objects.filter(prefix=prefix).first()
    if key is None:
        raise AccessKeyNotFound(f"There is no access key that begins with {prefix!r}.")
    with transaction.atomic():
        if not key.revoked:
            _record("key.revoke", key)
        key.revoked = True
        key.save(update_fields=["revoked"])
    return key


def _record(action: str, key: AccessKey, **details: Any) -> None:
    audit_log.record(action, f"key:{key.prefix} {key.name}", organization_id=key.organization_id, **details)
