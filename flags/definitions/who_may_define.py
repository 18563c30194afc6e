"""Who may write definitions, which hold for all organizations: a caller without a scope, with the role for the deed."""

from __future__ import annotations

from django.conf import settings

from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.errors import OutsideOfYourSubtree, RoleNeeded

PURGING_ROLE = Role.ADMIN
"""A purge cannot be undone."""


def defining_role() -> Role:
    """Return the role from which up callers may define, change and archive flags (setting FLAGS_DEFINED_BY)."""
    return Role(settings.FLAGS_DEFINED_BY)


def may_define(caller: Caller) -> bool:
    """Return whether the caller may define, change and archive flags."""
    return caller.organization_id is None and caller.may(defining_role())


def may_purge(caller: Caller) -> bool:
    """Return whether the caller may purge flags."""
    return caller.organization_id is None and caller.may(PURGING_ROLE)


def check_may_define(caller: Caller) -> None:
    """Check that the caller may define, change and archive flags. Raises OutsideOfYourSubtree and RoleNeeded."""
    _check(caller, defining_role())


def check_may_purge(caller: Caller) -> None:
    """Check that the caller may purge flags. Raises OutsideOfYourSubtree and RoleNeeded."""
    _check(caller, PURGING_ROLE)


def _check(caller: Caller, role: Role) -> None:
    if caller.organization_id is not None:
        raise OutsideOfYourSubtree(
            "Your key is bound to an organization, so it may not change definitions, which all organizations share."
        )
    if not caller.may(role):
        raise RoleNeeded(f"This needs the role {role.value}; yours is {caller.role.value}.")
