"""Which organizations a caller may see: the one check between a request and an object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Subquery, Value

from flagsite.core.ids import BIGGEST_ID, id_in
from orgs.access.caller import Caller
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of

SOON_SORTED = 20_000
"""The most organizations of a subtree that PostgreSQL sorts faster than it finds them in the order of their ids."""


def visible_organizations(caller: Caller) -> QuerySet[Organization]:
    """All organizations that the caller may see, for finding some of them.

    The query reads the extent of the scope itself, so that nothing can move between two queries. To list them all,
    which needs a plan made for the size of the scope, there is `visible_organizations_ordered_by_id`.
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
    """All organizations that the caller may see, ordered by id, for listing them inside of a `snapshot`."""
    if caller.organization_id is None:
        return Organization.objects.order_by("id")
    top = Organization.objects.filter(pk=caller.organization_id).first()
    return subtree_ordered_by_id(top) if top else Organization.objects.order_by("id").none()


def subtree_ordered_by_id(top: Organization) -> QuerySet[Organization]:
    """The organization and everything below it, ordered by id, for listing them inside of a `snapshot`.

    `top` was loaded in the same snapshot. Asked for the first rows by id, PostgreSQL likes to walk the primary key
    until it has met enough of the subtree, which may be all of the table. Ordered by an expression, a small subtree is
    read by its index and sorted.
    """
    subtree = Organization.objects.under(top)
    if top.subtree.size > SOON_SORTED:
        return subtree.order_by("id")
    return subtree.annotate(sorted_id=F("id") + Value(0)).order_by("sorted_id")


def find_visible_organization(caller: Caller, organization_id: Any) -> Organization:
    """The organization, if the caller may see it.

    Raises OrganizationNotFound for one that does not exist and for one that belongs to others alike.
    """
    if not 0 < int(organization_id) <= BIGGEST_ID:
        raise OrganizationNotFound
    organization = visible_organizations(caller).filter(pk=organization_id).first()
    if organization is None:
        raise OrganizationNotFound
    return organization


def find_organization_by_key_or_id(key_or_id: str) -> Organization:
    """The organization with this id, or else with this key, whatever a caller may see. Raises OrganizationNotFound.

    Commands, filters and forms let people name an organization so.
    """
    found = None
    if organization_id := id_in(key_or_id):
        found = Organization.objects.filter(pk=organization_id).first()
    if found is None:
        found = Organization.objects.filter(key=key_or_id).first()
    if found is None:
        raise OrganizationNotFound(f"There is no organization with the key or id {key_or_id!r}.")
    return found


def visible_ancestors(caller: Caller, organization: Organization) -> QuerySet[Organization]:
    """The ancestors of an organization, as far up as the caller may see."""
    path = path_ids_of(organization.pk)
    if caller.organization_id is not None:
        path = path[path.index(caller.organization_id) :] if caller.organization_id in path else []
    return Organization.objects.filter(pk__in=path[:-1])


@contextmanager
def hold_visible_organization(caller: Caller, organization_id: int) -> Iterator[Organization]:
    """The organization, if the caller may see it, in a transaction that keeps the whole tree as it is.

    Raises OrganizationNotFound.
    """
    with transaction.atomic():
        locks.lock_tree_for_reading()
        yield find_visible_organization(caller, organization_id)


def check_placement(caller: Caller, *, organization_id: int | None, parent_id: int | None) -> None:
    """Check that the caller may put an organization (None: a new one) below this parent (None: make it a root).

    Raises OutsideOfYourSubtree, or OrganizationNotFound for a parent that the caller may not see.
    """
    check_not_top_of_scope(caller, organization_id)
    if caller.organization_id is None:
        return
    if parent_id is None:
        raise OutsideOfYourSubtree
    find_visible_organization(caller, parent_id)


def check_not_top_of_scope(caller: Caller, organization_id: int | None) -> None:
    """Check that the organization is not the top of the caller's scope, which the caller neither moves nor deletes.

    Raises OutsideOfYourSubtree.
    """
    if organization_id is not None and organization_id == caller.organization_id:
        raise OutsideOfYourSubtree
