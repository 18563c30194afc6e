"""Who has requested background work, as a caller with the rights of now: the work may begin much later."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import caller_for
from orgs.errors import NoLongerAllowed
from orgs.tree.paths import path_ids_of


def caller_named(name: str) -> Caller:
    """Return the actor with this name as a caller with the rights of now. Commands and schedules may do everything.

    Raises NoLongerAllowed, with the reason, for a key or a person without access.
    """
    kind, _, rest = name.partition(":")
    if kind == "key":
        key = access_keys.key_in_force(rest.partition(" ")[0])
        if isinstance(key, str):
            raise NoLongerAllowed(key)
        return Caller(name, Role(key.role), key.organization_id)
    if kind == "user":
        person = get_user_model().objects.filter(username=rest).first()
        found = caller_for(person) if person is not None else None
        if found is None:
            raise NoLongerAllowed("the person has no access to Flagsite by now")
        return found
    return Caller(name, Role.ADMIN)


def check_may_still(name: str, role: Role, *, organization_id: int | None) -> None:
    """Check that the actor who has requested work may still request it.

    `organization_id` is the top of what the work changes, and None means everything. Who may start commands may do
    everything. Raises NoLongerAllowed, with the reason.
    """
    caller = caller_named(name)
    if not caller.may(role):
        raise NoLongerAllowed(f"the role is {caller.role.value} by now, and this needs {role.value}")
    if caller.organization_id is None:
        return
    path = [] if organization_id is None else path_ids_of(organization_id)
    is_deleted = organization_id is not None and not path  # the work has an error of its own for that
    if caller.organization_id not in path and not is_deleted:
        raise NoLongerAllowed("the organization is no longer in the own subtree")
