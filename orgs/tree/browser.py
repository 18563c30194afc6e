"""What the admin site's tree of organizations shows: unfolded a level at a time, or searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from orgs.access.caller import Caller
from orgs.access.organizations import ancestors_of, organizations_of
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Level:
    """Some organizations below one parent by name, and whether more follow the last of them."""

    organizations: Sequence[Organization]
    more: bool


def level(caller: Caller, *, parent_id: int | None, after: Organization | None = None) -> Level:
    """The next organizations below the parent that the caller may see; without one, the tops of what it may see."""
    rows = organizations_of(caller)
    if parent_id is not None:
        rows = rows.filter(parent_id=parent_id)
    elif caller.organization_id is not None:
        rows = rows.filter(pk=caller.organization_id)
    else:
        rows = rows.filter(parent_id=None)
    if after is not None:
        rows = rows.filter(Q(name__gt=after.name) | Q(name=after.name, pk__gt=after.pk))
    found = list(rows.order_by("name", "pk")[: AT_ONCE + 1])
    return Level(found[:AT_ONCE], len(found) > AT_ONCE)


def search(caller: Caller, term: str) -> list[tuple[Organization, str]]:
    """Up to AT_ONCE organizations whose key is the term, or whose name or key begins with it or contains it."""
    rows: QuerySet[Organization] = organizations_of(caller)
    found = list(rows.filter(key=term))
    if len(found) < AT_ONCE:
        has_it = rows.filter(Q(name__icontains=term) | Q(key__icontains=term)).exclude(key=term)
        found += has_it.order_by("pk")[: AT_ONCE - len(found)]
    paths = path_names_of([organization.pk for organization in found], top_id=caller.organization_id)
    return [(organization, " › ".join(paths[organization.pk])) for organization in found]


def placed(caller: Caller, organization: Organization) -> dict[str, Any]:
    """What a page says above everything else about the organization that it is about, as far up as the caller sees."""
    above = list(ancestors_of(caller, organization).order_by("level"))
    return {"organization": organization, "original": organization, "above": above}
