"""Operations on access keys for a caller: `orgs.access.access_keys`, with access checked.

A caller with a scope sees and changes the keys of its subtree, and nobody gives a key more than the own role.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from orgs.access import access_keys
from orgs.access.access_keys import RevokedKey
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.access.visible_organizations import OrganizationName, hold_visible_organization, visible_organizations
from orgs.errors import AccessKeyNotFound, MoreThanYouMay, OutsideOfYourSubtree
from orgs.tree import locks


def visible_keys(caller: Caller) -> QuerySet[AccessKey]:
    """Return the access keys that the caller may see, newest first."""
    keys = access_keys.all_keys()
    if caller.organization_id is None:
        return keys
    return keys.filter(organization_id__in=visible_organizations(caller).values("pk"))


def find(caller: Caller, prefix: str) -> AccessKey:
    """Return the access key if the caller may see it. Raises AccessKeyNotFound."""
    key = visible_keys(caller).filter(prefix=prefix).first()
    if key is None:
        raise AccessKeyNotFound
    return key


def create(
    caller: Caller,
    *,
    name: str,
    role: Role,
    organization: OrganizationName | None = None,
    expires: datetime | None = None,
) -> tuple[AccessKey, str]:
    """Create an access key, and return its row and the secret key.

    Raises the errors of `access_keys.create` and `hold_visible_organization`, OutsideOfYourSubtree for a key without an
    organization by a caller that has one, and MoreThanYouMay.
    """
    if not caller.may(role):
        raise MoreThanYouMay(f"You have the role {caller.role.value}, so you cannot create a key with {role.value}.")
    if organization is None:
        if caller.organization_id is not None:
            raise OutsideOfYourSubtree("A key without an organization sees everything. Name one of your organizations.")
        return access_keys.create(name=name, role=role, expires=expires)
    with hold_visible_organization(caller, organization) as found:
        return access_keys.create(name=name, role=role, organization=found, expires=expires)


def rotate(
    caller: Caller,
    prefix: str,
    *,
    overlap: timedelta = access_keys.DEFAULT_OVERLAP,
    expires: datetime | None = None,
) -> tuple[AccessKey, str]:
    """Rotate an access key that the caller may see. Raises the errors of `access_keys.rotate`."""
    with transaction.atomic():
        locks.lock_trees_for_reading(caller.organization_id, find(caller, prefix).organization_id)
        key = find(caller, prefix)
        return access_keys.rotate(prefix=key.prefix, overlap=overlap, expires=expires)


def revoke(caller: Caller, prefix: str) -> RevokedKey:
    """Revoke an access key that the caller may see, and end what it has planned. Raises AccessKeyNotFound."""
    with transaction.atomic():
        locks.lock_trees_for_reading(caller.organization_id)
        revoked = access_keys.revoke(prefix=find(caller, prefix).prefix)
        return RevokedKey(find(caller, prefix), revoked.ended)
