"""The organizations that the admin site's tree shows: children of one parent at a time, or the hits of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from orgs.access.caller import Caller
from orgs.access.organizations import visible_ancestors, visible_organizations
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

MOST_SHOWN = 100
"""Children of one parent, or hits of a search, that are shown at a time."""


@dataclass(frozen=True, slots=True)
class Children:
    """Some organizations directly below one parent, by name, and whether more follow the last of them."""

    organizations: Sequence[Organization]
    more: bool


def visible_children(caller: Caller, *, parent_id: int | None, after: Organization | None = None) -> Children:
    """The organizations directly below the parent that the caller may see, by name; at most MOST_SHOWN.

    Without a parent they are the top of the caller's scope, or every root. `after` is the last one that was shown.
    """
    rows = visible_organizations(caller)
    if parent_id is not None:
        rows = rows.filter(parent_id=parent_id)
    elif caller.organization_id is not None:
        rows = rows.filter(pk=caller.organization_id)
    else:
        rows = rows.filter(parent_id=None)
    if after is not None:
        rows = rows.filter(Q(name__gt=after.name) | Q(name=after.name, pk__gt=after.pk))
    found = list(rows.order_by("name", "pk")[: MOST_SHOWN + 1])
    return Children(found[:MOST_SHOWN], len(found) > MOST_SHOWN)


def search(caller: Caller, term: str) -> list[tuple[Organization, str]]:
    """Up to MOST_SHOWN organizations whose key is the term, or whose name or key begins with it or contains it."""
    rows: QuerySet[Organization] = visible_organizations(caller)
    found = list(rows.filter(key=term))
    if len(found) < MOST_SHOWN:
        has_it = rows.filter(Q(name__icontains=term) | Q(key__icontains=term)).exclude(key=term)
        found += has_it.order_by("pk")[: MOST_SHOWN - len(found)]
    paths = path_names_of([organization.pk for organization in found], top_id=caller.organization_id)
    return [(organization, " › ".join(paths[organization.pk])) for organization in found]


def path_context(caller: Caller, organization: Organization) -> dict[str, Any]:
    """The template context of a page about an organization: itself, and the ancestors that the caller may see."""
    above = list(visible_ancestors(caller, organization).order_by("level"))
    return {"organization": organization, "original": organization, "above": above}
