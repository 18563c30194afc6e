"""The organizations in the admin site's tree: the children of one parent, or the results of a search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from orgs.access.caller import Caller
from orgs.access.visible_organizations import is_named_by, visible_organizations
from orgs.tree.models import Organization
from orgs.tree.paths import folded_paths_of, path_names_of

MAX_SHOWN = 100
"""The maximum number of children or of search results on a page."""
MAX_ON_PAGE = 24
"""The maximum number of children on the page of their parent, before a person asks for more."""
MAX_COUNTED = 10_000
"""The maximum number of children that a page counts."""
MAX_TOPS = 20
"""The maximum number of organizations for a step of a path that a person has typed, before its last step."""
STEPS = re.compile("[›>]")


@dataclass(frozen=True, slots=True)
class Children:
    """Some organizations directly below one parent, by name; `more` is whether other organizations follow."""

    organizations: Sequence[Organization]
    more: bool


def visible_children(
    caller: Caller, *, parent_id: int | None, after: Organization | None = None, limit: int | None = None
) -> Children:
    """Return the organizations directly below the parent that the caller may see, by name; `limit` at most, or else
    MAX_SHOWN.

    Without a parent, return the top of the caller's scope, or all roots. `after` is the last organization of the page
    before.
    """
    limit = MAX_SHOWN if limit is None else limit
    rows = visible_organizations(caller)
    if parent_id is not None:
        rows = rows.filter(parent_id=parent_id)
    elif caller.organization_id is not None:
        rows = rows.filter(pk=caller.organization_id)
    else:
        rows = rows.filter(parent_id=None)
    if after is not None:
        rows = rows.filter(Q(name__gt=after.name) | Q(name=after.name, pk__gt=after.pk))
    organizations = list(rows.order_by("name", "pk")[: limit + 1])
    return Children(organizations[:limit], len(organizations) > limit)


def children_context(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return the template context of the children on an organization's page: the first ones, and how many there are."""
    children = visible_children(caller, parent_id=organization.pk, limit=MAX_ON_PAGE)
    count = len(children.organizations)
    if children.more:
        count = Organization.objects.filter(parent_id=organization.pk).order_by()[: MAX_COUNTED + 1].count()
    direct = f"more than {MAX_COUNTED:,}" if count > MAX_COUNTED else f"{count:,}"
    return {
        "children": children,
        "parent_id": organization.pk,
        "direct": direct,
        "below": f"{organization.descendant_count:,}",
    }


def search(caller: Caller, term: str, *, limit: int = MAX_SHOWN) -> list[tuple[Organization, str]]:
    """Return up to `limit` organizations whose name or key contains the term, each with its path as text.

    The organizations that the term names by key or id (`orgs.tree.references`) come first. If there are none at all,
    the term may be a path, such as "Acme › Oslo" or "Acme > Oslo".
    """
    rows: QuerySet[Organization] = visible_organizations(caller)
    named = is_named_by(term)
    organizations = list(rows.filter(named).order_by("pk"))
    others = rows.filter(_contains(term)).exclude(named)
    organizations += others.order_by("pk")[: max(0, limit - len(organizations))]
    return with_paths(caller, organizations or _on_path(rows, term, limit))


def _contains(term: str) -> Q:
    return Q(name__icontains=term) | Q(key__icontains=term)


def _on_path(rows: QuerySet[Organization], term: str, limit: int) -> list[Organization]:
    """Return organizations whose path has the steps of a term in their order, the last step at the end.

    A step is a part of a name or key, and steps may be left out. If very many organizations match one step, only the
    first MAX_TOPS of them count.
    """
    *above, last = [step.strip() for step in STEPS.split(term)]
    if not above:
        return []
    for step in filter(None, above):
        rows = rows.filter(_below(list(rows.filter(_contains(step)).order_by("level", "pk")[:MAX_TOPS])))
    found = rows.filter(_contains(last)) if last else rows
    return list(found.order_by("level", "pk")[:limit])


def _below(tops: Sequence[Organization]) -> Q:
    """Return the condition for organizations below one of these; none if there are none of these."""
    condition = Q(pk__in=[])
    for top in tops:
        condition |= Q(tree_id=top.tree_id, lft__gt=top.lft, lft__lte=top.rght)
    return condition


def first_visible(caller: Caller) -> Sequence[Organization]:
    """Return the top of the caller's scope, or the first roots by name."""
    return visible_children(caller, parent_id=None).organizations


def with_paths(caller: Caller, organizations: Sequence[Organization]) -> list[tuple[Organization, str]]:
    """Return organizations that the caller may see, each with its path as text, with one query."""
    paths = path_names_of([organization.pk for organization in organizations], top_id=caller.organization_id)
    return [(organization, " › ".join(paths[organization.pk])) for organization in organizations]


def path_context(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return the template context of an organization's page: the organization and its folded path in the scope."""
    path = folded_paths_of([organization.pk], top_id=caller.organization_id)[organization.pk]
    return {"organization": organization, "original": organization, "path": path, "above": path.lowest[:-1]}
