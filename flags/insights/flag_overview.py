"""The figures of a flag's page in the admin site: organizations with the flag on and off, and latest changes."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q

from flags.definitions.models import Flag
from flags.states.models import Change, FlagState
from jobs.engine.states import Status
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.paths import path_names_of

PAGE_SIZE = 100
"""Changes on one page."""


@dataclass(frozen=True, slots=True)
class StateCounts:
    """The number of organizations by stored value. Organizations without a flag state do not count."""

    on: int
    off: int


def count_states(flag: Flag, caller: Caller) -> StateCounts:
    """Count the organizations that the caller may see by stored value. Reads all flag states of the flag."""
    rows = FlagState.objects.filter(flag=flag)
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=visible_organizations(caller).values("pk"))
    counts = rows.aggregate(on=Count("organization_id", filter=Q(enabled=True)), all=Count("organization_id"))
    return StateCounts(counts["on"], counts["all"] - counts["on"])


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A change, the path of its organization, and its current effect on this organization."""

    change: Change
    path: str
    now: str


@dataclass(frozen=True, slots=True)
class LatestChanges:
    """One page of changes, newest first. Older changes have change numbers below `older`; None if there are no more."""

    changes: list[ShownChange]
    older: int | None


def latest_changes(flag: Flag, caller: Caller, *, before: int | None = None) -> LatestChanges:
    """Return the latest changes of a flag, or the latest ones with change numbers below `before`.

    The page reads changes and not flag states, because flag states have no index by source. Every change would have to
    write this index.
    """
    rows = Change.objects.filter(flag=flag, source_id=F("organization_id")).order_by("-number").select_related("job")
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=visible_organizations(caller).values("pk"))
    if before is not None:
        rows = rows.filter(number__lt=before)
    found = list(rows[: PAGE_SIZE + 1])
    changes, more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
    organizations = {change.organization_id for change in changes}
    paths = path_names_of(organizations, top_id=caller.organization_id)
    states = FlagState.objects.filter(flag=flag, organization_id__in=organizations)
    state_of = {state.organization_id: state for state in states}
    shown_changes = [
        ShownChange(change, " › ".join(paths[organization_id]), _now(change, state_of.get(organization_id)))
        if (organization_id := change.organization_id) in paths
        else ShownChange(change, f"{organization_id}, deleted", "gone")
        for change in changes
    ]
    return LatestChanges(shown_changes, changes[-1].number if more else None)


def _now(change: Change, state: FlagState | None) -> str:
    """Return the current effect of a change on its organization, in words."""
    if state is None or state.change_number < change.number:
        under_way = change.job is not None and (change.job.is_open or change.job.status == Status.RETRYING)
        return "on its way" if under_way else "not written"
    if state.source_id != change.organization_id:
        return "overwritten from above"
    return "stands" if state.change_number == change.number else "replaced here"
