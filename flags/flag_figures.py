"""A flag at a glance: on how many organizations it is on, who set it where, what was changed last."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q

from flags.models import Change, Flag, FlagState
from orgs.access import Caller, organizations_of
from orgs.lines import paths_of

LOOKED_THROUGH = 500
"""Changes, the newest first, among which those that people made are looked for."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Organizations that have a row for the flag."""

    on: int
    off: int


def counts(flag: Flag, caller: Caller) -> Counts:
    """On how many of the organizations that the caller may see it is on and off; goes through all its rows."""
    rows = FlagState.objects.filter(flag=flag)
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=organizations_of(caller).values("pk"))
    found = rows.aggregate(on=Count("organization_id", filter=Q(enabled=True)), all=Count("organization_id"))
    return Counts(found["on"], found["all"] - found["on"])


def recent(flag: Flag, caller: Caller) -> list[tuple[Change, str, bool]]:
    """The changes that were made last, each with its organization's path, and whether it is the newest there."""
    rows = Change.objects.filter(flag=flag, source_id=F("organization_id")).order_by("-number")
    if caller.organization_id is not None:
        rows = rows.filter(organization_id__in=organizations_of(caller).values("pk"))
    changes = list(rows[:LOOKED_THROUGH])
    paths = paths_of([change.organization_id for change in changes], top_id=caller.organization_id)
    seen: set[int] = set()
    found = []
    for change in changes:
        place = " › ".join(paths.get(change.organization_id, [f"{change.organization_id}, deleted"]))
        found.append((change, place, change.organization_id not in seen))
        seen.add(change.organization_id)
    return found
