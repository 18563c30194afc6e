"""The role and the scope of a person who is signed in to the admin site."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, AnonymousUser

from orgs.access.caller import Caller
from orgs.access.models import Role, StaffScope

ROLES_BY_GROUP = {"viewer": Role.READER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
"""The role that each group of Flagsite stands for. Migrations create these groups."""


def caller_for(user: AbstractUser | AnonymousUser) -> Caller | None:
    """Return a signed-in person as a caller, with the highest role of the person's groups.

    A superuser has the role admin. A member of staff without a group of Flagsite has the role reader. For a person who
    is not an active member of staff, the result is None.
    """
    if isinstance(user, AnonymousUser) or not (user.is_active and user.is_staff):
        return None
    scope = StaffScope.objects.filter(user_id=user.pk).values_list("organization_id", flat=True).first()
    if user.is_superuser:
        role = Role.ADMIN
    else:
        groups = user.groups.values_list("name", flat=True)
        roles = {ROLES_BY_GROUP[group] for group in groups if group in ROLES_BY_GROUP}
        role = max(roles, key=list(Role).index, default=Role.READER)
    return Caller(f"user:{user.get_username()}", role, scope)
