"""The author of a scheduled change, a person or an access key: whether it may still make the change."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from flags.definitions.who_may_define import defining_role
from flags.errors import ScheduleNoLongerAllowed
from flags.schedules.models import FlagSchedule
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import caller_for
from orgs.tree.paths import path_ids_of


def check_may_apply(schedule: FlagSchedule) -> str:
    """Check that the author of a schedule may still make its change.

    If the change concerns an organization, the caller holds the shared tree lock.

    An access key has to be valid. If it was rotated and has expired since, its successor takes its place. The scope of
    the author has to contain the organization, and the role has to allow the change. A person who has left needs no
    role: what such a person has planned is applied, within the scope that the person had. Then the result is a sentence
    that says what happened to the account. Otherwise it is empty. Raises ScheduleNoLongerAllowed.
    """
    kind, _, name = schedule.created_by.partition(":")
    gone = ""
    if kind == "key":
        caller = _caller_of_key(schedule, name.partition(" ")[0])
    elif kind == "user":
        caller, gone = _caller_of_person(schedule, name)
    else:  # a command: who may start commands may do everything
        return ""
    needed = _needed_role(schedule)
    if not caller.may(needed):
        raise _refusal(schedule, f"its role is {caller.role.value} by now, and the change needs {needed.value}")
    _check_scope(schedule, caller)
    return gone


def _needed_role(schedule: FlagSchedule) -> Role:
    return Role.EDITOR if schedule.organization_id is not None else defining_role()


def _caller_of_key(schedule: FlagSchedule, prefix: str) -> Caller:
    key = access_keys.key_in_force(prefix)
    if isinstance(key, str):
        raise _refusal(schedule, key)
    return Caller(schedule.created_by, Role(key.role), key.organization_id)


def _caller_of_person(schedule: FlagSchedule, username: str) -> tuple[Caller, str]:
    """Return the person as a caller, and what happened to the account of a person who has left."""
    person = get_user_model().objects.filter(username=username).first()
    if person is None or not person.is_active:
        happened = "deleted" if person is None else "deactivated"
        former = Caller(schedule.created_by, _needed_role(schedule), schedule.author_organization_id)
        return former, f"The person's account has been {happened}."
    caller = caller_for(person)
    if caller is None:
        raise _refusal(schedule, "the person has no access to Flagsite by now")
    return caller, ""


def _check_scope(schedule: FlagSchedule, caller: Caller) -> None:
    if caller.organization_id is None:
        return
    if schedule.organization_id is None:
        raise _refusal(
            schedule, "the author is bound to an organization by now, and all organizations share definitions"
        )
    path = path_ids_of(schedule.organization_id)  # empty: the organization is deleted, which has an error of its own
    if path and caller.organization_id not in path:
        raise _refusal(schedule, "the organization is no longer in the author's subtree")


def _refusal(schedule: FlagSchedule, why: str) -> ScheduleNoLongerAllowed:
    return ScheduleNoLongerAllowed(
        f"{schedule.created_by} has planned this change and may no longer make it: {why}. Somebody who may make the "
        "change can plan it anew."
    )
