"""Who calls, and which organizations that caller may see: the one check between a request and an object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Subquery

from orgs import locks
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree
from orgs.ids import BIGGEST_ID
from orgs.models import Organization, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client: an access key or a person signed in to the admin site.

    `name` is what records show ("key:4fG6aB nightly-sync", "user:alice"); `organization_id` is the top of what
    the caller may see and change, None for everything.
    """

    name: str
    role: Role
    organization_id: int | None = None
    is_authenticated: bool = True

    def may(self, needed: Role) -> bool:
        """Whether the caller's role includes `needed`."""
        return self.role.includes(needed)


def organizations_of(caller: Caller) -> QuerySet[Organization]:
    """All organizations that the caller may see."""
    return Organization.objects.all() if caller.organization_id is None else subtree_of(caller.organization_id)


def subtree_of(organization_id: int) -> QuerySet[Organization]:
    """The organization and everything below it, by its place at the moment when the query runs.

    The place is read by the query itself: read before it, the numbers could be those of a stranger by then.
    """
    top = Organization.objects.filter(pk=organization_id)
    return Organization.objects.filter(
        tree_id=Subquery(top.values("tree_id")),
        lft__gte=Subquery(top.values("lft")),
        lft__lte=Subquery(top.values("rght")),
    )


def line_of(organization_id: int) -> QuerySet[Organization]:
    """The organization and everything above it, by its place at the moment when the query runs."""
    here = Organization.objects.filter(pk=organization_id)
    return Organization.objects.filter(
        tree_id=Subquery(here.values("tree_id")),
        lft__lte=Subquery(here.values("lft")),
        rght__gte=Subquery(here.values("rght")),
    )


def organization_for(caller: Caller, organization_id: Any) -> Organization:
    """The organization, if the caller may see it.

    Raises OrganizationNotFound for one that does not exist and for one that belongs to others alike.
    """
    if not 0 < int(organization_id) <= BIGGEST_ID:
        raise OrganizationNotFound
    organization = organizations_of(caller).filter(pk=organization_id).first()
    if organization is None:
        raise OrganizationNotFound
    return organization


def ancestors_of(caller: Caller, organization: Organization) -> QuerySet[Organization]:
    """What is above an organization, as far up as the caller may see."""
    return (organizations_of(caller) & line_of(organization.pk)).exclude(pk=organization.pk)


def descendants_of(caller: Caller, organization: Organization) -> QuerySet[Organization]:
    """What is below an organization, as far as the caller may see it."""
    return (organizations_of(caller) & subtree_of(organization.pk)).exclude(pk=organization.pk)


@contextmanager
def organization_held(caller: Caller, organization_id: int) -> Iterator[Organization]:
    """The organization, if the caller may see it, in a transaction that keeps it where it is.

    Raises OrganizationNotFound.
    """
    with transaction.atomic():
        locks.lock_tree_for_reading()
        yield organization_for(caller, organization_id)


def check_placement(caller: Caller, *, organization_id: int | None, parent_id: int | None) -> None:
    """Whether the caller may put an organization (None: a new one) below this parent (None: make it a root).

    Raises OutsideOfYourSubtree, or OrganizationNotFound for a parent that the caller may not see.
    """
    check_not_top(caller, organization_id)
    if caller.organization_id is None:
        return
    if parent_id is None:
        raise OutsideOfYourSubtree
    organization_for(caller, parent_id)


def check_not_top(caller: Caller, organization_id: int | None) -> None:
    """Raises OutsideOfYourSubtree for the organization that the caller's key is bound to: its place is not theirs."""
    if organization_id is not None and organization_id == caller.organization_id:
        raise OutsideOfYourSubtree
