"""A flag at a glance: on how many organizations it is on, who set it where, what was changed last."""

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
    """Organizations that have a row for the flag."""

    on: int
    off: int


def counts(flag: Flag, caller: Caller) -> StateCounts:
    """On how many of the organizations that the caller may see it is on and off; goes through all its rows."""
    rows = FlagState.objects.filter(flag=flag)
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=visible_organizations(caller).values("pk"))
    found = rows.aggregate(on=Count("organization_id", filter=Q(enabled=True)), all=Count("organization_id"))
    return StateCounts(found["on"], found["all"] - found["on"])


@dataclass(frozen=True, slots=True)
class Made:
    """A change that somebody made, the path of its organization, and what has become of it there."""

    change: Change
    place: str
    now: str


@dataclass(frozen=True, slots=True)
class MadeLast:
    """Some changes, the newest first; `older` is the number below which there are more, None where there are not."""

    made: list[Made]
    older: int | None


def made_last(flag: Flag, caller: Caller, *, before: int | None = None) -> MadeLast:
    """The changes that people made last, or those before that number.

    What was set on an organization and stands is found here alone: states have no index but their key, and get none,
    since every flip would have to write it.
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
    made = [
        Made(change, " › ".join(paths[place]), _now(change, state_of.get(place)))
        if (place := change.organization_id) in paths
        else Made(change, f"{place}, deleted", "gone")
        for change in changes
    ]
    return MadeLast(made, changes[-1].number if more else None)


def _now(change: Change, state: FlagState | None) -> str:
    """What has become of the change on its own organization."""
    if state is None or state.change_number < change.number:
        under_way = change.job is not None and (change.job.is_open or change.job.status == Status.RETRYING)
        return "on its way" if under_way else "not written"
    if state.source_id != change.organization_id:
        return "overwritten from above"
    return "stands" if state.change_number == change.number else "replaced here"
