"""Access keys: create, rotate and revoke, without a check of access.

Flagsite shows a key once, when it is created, and stores only its hash. The API and the admin site call
`orgs.access.authorized_keys`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from flagsite.core.db.clock import now
from flagsite.core.invisible_characters import INVISIBLE
from orgs.access import key_plans
from orgs.access.key_plans import KeyPlans
from orgs.access.models import AccessKey, Role
from orgs.audit import audit_log
from orgs.errors import AccessKeyEnded, AccessKeyNotFound, InvalidKeyExpiry, InvalidKeyName
from orgs.tree.models import Organization

MAX_NAME_LENGTH = 50
_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
NAME_PATTERN = rf"[{_SPACES}]*[^\s{INVISIBLE}][^{INVISIBLE}]*"
"""A name has a character to see, and no characters that control how a text is shown."""
NAME = re.compile(NAME_PATTERN)
DEFAULT_OVERLAP = timedelta(days=1)
"""The time for which a rotated key stays valid beside its successor."""
MAX_OVERLAP = timedelta(days=90)


def create(
    *, name: str, role: Role = Role.READER, organization: Organization | None = None, expires: datetime | None = None
) -> tuple[AccessKey, str]:
    """Create an access key; return its row and the secret key, which cannot be read again.

    Raises InvalidKeyName, and InvalidKeyExpiry for a time that is not in the future.
    """
    record = AccessKey(name=name, role=role, organization=organization, expiry_date=expires)
    key = _store(record)
    return record, key


def is_valid_name(text: str) -> bool:
    """Return whether an access key may have this name."""
    return len(text) <= MAX_NAME_LENGTH and NAME.fullmatch(text) is not None


def state_of(key: AccessKey) -> str:
    """Return whether a key is valid, revoked or expired, as one of these words."""
    return "revoked" if key.revoked else "expired" if key.has_expired else "valid"


def last_used_at(key: AccessKey) -> datetime | None:
    """Return when the key was used last, to the minute; None if it was never used."""
    return key.use.last_used_at if hasattr(key, "use") else None


def all_keys() -> QuerySet[AccessKey]:
    """Return all access keys with what a list shows of them, newest first, including the revoked ones."""
    return AccessKey.objects.select_related("organization", "successor", "use").order_by("-number")


def find(prefix: str) -> AccessKey:
    """Return the access key with this prefix. Raises AccessKeyNotFound."""
    key = all_keys().filter(prefix=prefix).first()
    if key is None:
        raise _not_found(prefix)
    return key


def former_keys(key: AccessKey) -> list[AccessKey]:
    """Return the keys whose place this one took by a rotation and that are still valid, until their overlap ends."""
    ids, former = {key.pk}, set[str]()
    while ids:
        ids = set(AccessKey.objects.filter(successor__in=ids).values_list("pk", flat=True)) - former
        former |= ids
    return list(usable_keys().filter(pk__in=former).order_by("-number"))


def said_of_former_keys(key: AccessKey) -> list[str]:
    """Return a sentence for each key that stays valid although somebody revokes its successor `key`."""
    return [
        f"The former key {one.prefix} is {validity_of(one)} UTC. Revoke it too if it must end now."
        for one in former_keys(key)
    ]


def validity_of(key: AccessKey) -> str:
    """Return the state of a key in words, with the end of its validity: "valid until 2026-12-01 09:00"."""
    state = state_of(key)
    return f"{state} until {key.expiry_date:%Y-%m-%d %H:%M}" if state == "valid" and key.expiry_date else state


def usable_keys() -> QuerySet[AccessKey]:
    """Return the access keys that are valid now: not revoked, and not expired by the clock of the database."""
    return AccessKey.objects.filter(Q(expiry_date__isnull=True) | Q(expiry_date__gt=Now()), revoked=False)


def key_in_force(prefix: str) -> AccessKey | str:
    """Return the access key with this prefix; if it has expired after a rotation, return its successor.

    Work that a key has requested or planned asks here before it runs. If the key is not valid any more, the result is a
    text that says why, such as "the access key has been revoked".
    """
    key = AccessKey.objects.select_related("successor").filter(prefix=prefix).first()
    while key is not None and not key.revoked and key.has_expired and key.successor is not None:
        key = key.successor
    if key is None:
        return "the access key has been deleted"
    if state_of(key) != "valid":
        return f"the access key {'has expired' if key.has_expired and not key.revoked else 'has been revoked'}"
    return key


def rotate(
    *, prefix: str, overlap: timedelta = DEFAULT_OVERLAP, expires: datetime | None = None
) -> tuple[AccessKey, str]:
    """Create a successor of an access key, with the same name, role and organization; return its row and secret key.

    The former key stays valid for `overlap`, but not longer than before. Without `expires`, the successor is valid for
    as long as the former key was meant to be. Raises AccessKeyNotFound and InvalidKeyExpiry. Raises AccessKeyEnded if
    the former key is not valid any more, or has a successor that is.
    """
    with transaction.atomic():
        former = _locked(prefix)
        if state_of(former) != "valid":
            raise AccessKeyEnded(f"The access key {prefix} is {state_of(former)}. Create a new key instead.")
        if former.successor is not None and state_of(former.successor) == "valid":
            raise AccessKeyEnded(
                f"The access key {prefix} was rotated already; its successor is {former.successor.prefix}. Rotate that "
                "one, or revoke it first."
            )
        moment = now()
        if expires is None and former.expiry_date is not None:
            expires = moment + (former.expiry_date - former.created)
        successor = AccessKey(
            name=former.name, role=former.role, organization_id=former.organization_id, expiry_date=expires
        )
        key = _store(successor, rotatedFrom=former.prefix)
        former.successor = successor
        former.expiry_date = min(former.expiry_date or moment + overlap, moment + overlap)
        former.save(update_fields=["successor", "expiry_date"])
        _record("key.rotate", former, successor=successor.prefix, expiresAt=former.expiry_date.isoformat())
    return successor, key


class RevokedKey(NamedTuple):
    """A revoked access key, and what it had planned, which has ended together with it."""

    key: AccessKey
    ended: KeyPlans


def revoke(*, prefix: str) -> RevokedKey:
    """Revoke an access key for ever, and end what it has planned. Revoking it again is not an error.

    Raises AccessKeyNotFound.
    """
    with transaction.atomic():
        key = _locked(prefix)
        was_revoked, key.revoked = key.revoked, True
        key.save(update_fields=["revoked"])
        ended = key_plans.end(prefix)
        if not was_revoked:
            _record("key.revoke", key, endedChanges=ended.count)
    return RevokedKey(key, ended)


def _locked(prefix: str) -> AccessKey:
    key = AccessKey.objects.select_for_update().filter(prefix=prefix).first()  # a join would be older than the lock
    if key is None:
        raise _not_found(prefix)
    return key


def _not_found(prefix: str) -> AccessKeyNotFound:
    return AccessKeyNotFound(f"There is no access key that begins with {prefix!r}.")


def _store(record: AccessKey, **details: Any) -> str:
    """Give a new access key its secret and store the row. Returns the secret key."""
    if not is_valid_name(record.name):
        raise InvalidKeyName
    expires = record.expiry_date
    if expires is not None and expires <= now():
        raise InvalidKeyExpiry
    key: str = AccessKey.objects.assign_key(record)
    with transaction.atomic():
        record.save(force_insert=True)
        expires_at = expires.isoformat() if expires else None
        _record("key.create", record, role=record.role, expiresAt=expires_at, **details)
    return key


def _record(action: str, key: AccessKey, **details: Any) -> None:
    audit_log.record(action, f"key:{key.prefix} {key.name}", organization_id=key.organization_id, **details)
