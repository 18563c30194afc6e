"""The organizations that a caller may see: all code checks the scope of a caller here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Subquery, Value

from flagsite.core.ids import MAX_ID, id_in
from orgs.access.caller import Caller
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of

MAX_ROWS_TO_SORT = 20_000
"""Up to this number of organizations, sorting a subtree is faster than walking the primary key in order."""


def visible_organizations(caller: Caller) -> QuerySet[Organization]:
    """Return all organizations that the caller may see, for finding some of them.

    The query reads the nested set of the scope itself, so that no move can come between two queries. To list all of
    them, use `visible_organizations_ordered_by_id`, whose plan depends on the size of the scope.
    """
    if caller.organization_id is None:
        return Organization.objects.all()
    top = Organization.objects.filter(pk=caller.organization_id)
    return Organization.objects.filter(
        tree_id=Subquery(top.values("tree_id")),
        lft__gte=Subquery(top.values("lft")),
        lft__lte=Subquery(top.values("rght")),
    )


def visible_organizations_ordered_by_id(caller: Caller) -> QuerySet[Organization]:
    """Return all organizations that the caller may see, ordered by id; call it inside a `snapshot`."""
    if caller.organization_id is None:
        return Organization.objects.order_by("id")
    top = Organization.objects.filter(pk=caller.organization_id).first()
    return subtree_ordered_by_id(top) if top else Organization.objects.order_by("id").none()


def subtree_ordered_by_id(top: Organization) -> QuerySet[Organization]:
    """Return the organization and everything below it, ordered by id; call it inside a `snapshot`.

    Load `top` in the same snapshot. For a query of the first rows by id, PostgreSQL often walks the primary key until
    it has enough organizations of the subtree. It may walk the whole table. If a small subtree is ordered by an
    expression, PostgreSQL reads the subtree by its index and sorts it.
    """
    subtree = Organization.objects.under(top)
    if top.subtree.size > MAX_ROWS_TO_SORT:
        return subtree.order_by("id")
    return subtree.annotate(sorted_id=F("id") + Value(0)).order_by("sorted_id")


def find_visible_organization(caller: Caller, organization_id: Any) -> Organization:
    """Return the organization if the caller may see it.

    Raises OrganizationNotFound if the organization does not exist or is outside the caller's scope.
    """
    if not 0 < int(organization_id) <= MAX_ID:
        raise OrganizationNotFound
    organization = visible_organizations(caller).filter(pk=organization_id).first()
    if organization is None:
        raise OrganizationNotFound
    return organization


def find_organization_by_key_or_id(key_or_id: str) -> Organization:
    """Return the organization with this id, or else with this key, without a check of the scope.

    Commands, filters and forms accept both. Raises OrganizationNotFound.
    """
    organization = None
    if organization_id := id_in(key_or_id):
        organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        organization = Organization.objects.filter(key=key_or_id).first()
    if organization is None:
        raise OrganizationNotFound(f"There is no organization with the key or id {key_or_id!r}.")
    return organization


def visible_ancestors(caller: Caller, organization: Organization) -> QuerySet[Organization]:
    """Return the ancestors of an organization that the caller may see."""
    path = path_ids_of(organization.pk)
    if caller.organization_id is not None:
        path = path[path.index(caller.organization_id) :] if caller.organization_id in path else []
    return Organization.objects.filter(pk__in=path[:-1])


@contextmanager
def hold_visible_organization(caller: Caller, organization_id: int) -> Iterator[Organization]:
    """Yield the organization if the caller may see it, in a transaction with the shared tree lock.

    Raises OrganizationNotFound.
    """
    with transaction.atomic():
        locks.lock_tree_for_reading()
        yield find_visible_organization(caller, organization_id)


def check_placement(caller: Caller, *, organization_id: int | None, parent_id: int | None) -> None:
    """Check that the caller may place an organization (None: a new one) below this parent (None: make it a root).

    Raises OutsideOfYourSubtree, or OrganizationNotFound for a parent that the caller may not see.
    """
    check_not_top_of_scope(caller, organization_id)
    if caller.organization_id is None:
        return
    if parent_id is None:
        raise OutsideOfYourSubtree
    find_visible_organization(caller, parent_id)


def check_not_top_of_scope(caller: Caller, organization_id: int | None) -> None:
    """Check that the organization is not the top of the caller's scope, which the caller must not move or delete.

    Raises OutsideOfYourSubtree.
    """
    if organization_id is not None and organization_id == caller.organization_id:
        raise OutsideOfYourSubtree
