"""What a person who is signed in to the admin site may do and see."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, AnonymousUser

from orgs.access.caller import Caller
from orgs.access.models import Role, StaffScope

ROLES_BY_GROUP = {"viewer": Role.READER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
"""The groups that come with the migrations, and the role of the API that each stands for."""


def caller_for(user: AbstractUser | AnonymousUser) -> Caller | None:
    """The caller that a signed-in person is, with the best role of their groups; None for who is nobody here.

    A superuser may do everything; staff without any of our groups may look. People who are not staff are nobody.
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
