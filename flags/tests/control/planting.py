"""Trees of organizations for cases, written at once; and what the rows of flag states say of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from flags.states.models import FlagState
from orgs.tree import locks
from orgs.tree.models import Organization


def plant(tree: dict[str, Any]) -> None:
    """Create the organizations of a tree, which is given by nested keys."""
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        created: dict[str, Organization] = {}
        for parent, organization in _numbered(tree):
            organization.parent = created.get(parent or "")
            QuerySet(Organization).bulk_create([organization])
            created[organization.key] = organization


def _numbered(tree: dict[str, Any]) -> Iterator[tuple[str | None, Organization]]:
    for number, (key, below) in enumerate(tree.items(), start=1):
        yield from _subtree(key, below, None, tree_id=number, level=0, start=1)


def _subtree(
    key: str, below: dict[str, Any], parent: str | None, *, tree_id: int, level: int, start: int
) -> Iterator[tuple[str | None, Organization]]:
    size = _size(below)
    yield (
        parent,
        Organization(
            name=key,
            key=key,
            tree_id=tree_id,
            level=level,
            lft=start,
            rght=start + 2 * size - 1,
            descendant_count=size - 1,
        ),
    )
    for child, further in below.items():
        yield from _subtree(child, further, key, tree_id=tree_id, level=level + 1, start=start + 1)
        start += 2 * _size(further)


def _size(below: dict[str, Any]) -> int:
    return 1 + sum(_size(each) for each in below.values())


def stored_values() -> dict[tuple[int, int], bool | None]:
    """The stored values by organization and flag, without those that are not set."""
    rows = FlagState.objects.filter(enabled__isnull=False).values_list("organization_id", "flag_id", "enabled")
    return {(organization, flag): enabled for organization, flag, enabled in rows}
