"""The role and the scope of a person. Being in one of Flagsite's groups is what lets a person into the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, AnonymousUser

from orgs.access.caller import Caller
from orgs.access.models import Role, StaffScope

ROLES_BY_GROUP = {"viewer": Role.READER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
"""The role that each group of Flagsite stands for. Migrations create these groups."""


def caller_for(user: AbstractUser | AnonymousUser) -> Caller | None:
    """Return a person as a caller, with the highest role of the person's groups. A superuser has the role admin.

    The result is None for a person who is not active, or is neither in one of Flagsite's groups nor a superuser.
    """
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    roles = {Role.ADMIN} if user.is_superuser else {ROLES_BY_GROUP[group] for group in groups_of(user)}
    if not roles:
        return None
    scope = StaffScope.objects.filter(user_id=user.pk).values_list("organization_id", flat=True).first()
    return Caller(f"user:{user.get_username()}", max(roles, key=list(Role).index), scope)


def groups_of(user: Any) -> list[str]:
    """Return the names of the person's groups that are Flagsite's. It makes no query if they were prefetched."""
    return sorted(group.name for group in user.groups.all() if group.name in ROLES_BY_GROUP)


def described(user: Any) -> dict[str, Any]:
    """Return the person's rights, as the audit log records them."""
    scope = StaffScope.objects.filter(user_id=user.pk).values_list("organization_id", flat=True).first()
    return {
        "username": user.get_username(),
        "active": user.is_active,
        "superuser": user.is_superuser,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "scope": scope,
    }
