"""A flag's page in the admin site: on how many organizations it is on, and its latest changes."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q

from flags.definitions.models import Flag
from flags.states.models import Change, FlagState
from jobs.engine.states import Status
from orgs.access.caller import Caller
from orgs.access.organizations import visible_organizations
from orgs.tree.paths import path_names_of

AT_ONCE = 100
"""Changes on a page."""


@dataclass(frozen=True, slots=True)
class StateCounts:
    """How many organizations have the flag on, and how many off, by their own flag states."""

    on: int
    off: int


def count_states(flag: Flag, caller: Caller) -> StateCounts:
    """On how many organizations that the caller may see the flag is on and off; reads all flag states of the flag."""
    rows = FlagState.objects.filter(flag=flag)
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=visible_organizations(caller).values("pk"))
    found = rows.aggregate(on=Count("organization_id", filter=Q(enabled=True)), all=Count("organization_id"))
    return StateCounts(found["on"], found["all"] - found["on"])


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A change that a person or a program made, its organization's path, and what has become of it there."""

    change: Change
    path: str
    now: str


@dataclass(frozen=True, slots=True)
class LatestChanges:
    """One page of changes, newest first; older ones have change numbers below `older`, None if there are none."""

    changes: list[ShownChange]
    older: int | None


def latest_changes(flag: Flag, caller: Caller, *, before: int | None = None) -> LatestChanges:
    """The latest changes of a flag, or those with change numbers below `before`.

    The page shows where the flag was set from the changes, since flag states have no index by source: every flip would
    have to write it.
    """
    rows = Change.objects.filter(flag=flag, source_id=F("organization_id")).order_by("-number").select_related("job")
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=visible_organizations(caller).values("pk"))
    if before is not None:
        rows = rows.filter(number__lt=before)
    found = list(rows[: AT_ONCE + 1])
    changes, more = found[:AT_ONCE], len(found) > AT_ONCE
    organizations = {change.organization_id for change in changes}
    paths = path_names_of(organizations, top_id=caller.organization_id)
    states = FlagState.objects.filter(flag=flag, organization_id__in=organizations)
    state_of = {state.organization_id: state for state in states}
    shown = [
        ShownChange(change, " › ".join(paths[organization_id]), _now(change, state_of.get(organization_id)))
        if (organization_id := change.organization_id) in paths
        else ShownChange(change, f"{organization_id}, deleted", "gone")
        for change in changes
    ]
    return LatestChanges(shown, changes[-1].number if more else None)


def _now(change: Change, state: FlagState | None) -> str:
    """What has become of a change on the organization it was made on."""
    if state is None or state.change_number < change.number:
        under_way = change.job is not None and (change.job.is_open or change.job.status == Status.RETRYING)
        return "on its way" if under_way else "not written"
    if state.source_id != change.organization_id:
        return "overwritten from above"
    return "stands" if state.change_number == change.number else "replaced here"
