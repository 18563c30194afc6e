"""The organizations that a caller may see: all code checks the scope of a caller here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Subquery, Value

from flagsite.core.db.snapshot import snapshot
from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound, OutsideOfYourSubtree
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of
from orgs.tree.references import Reference, parse_reference

OrganizationName = Reference | str | int
"""An organization: a reference, the text of one, or an id."""

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


def matching(organizations: QuerySet[Organization], filters: Mapping[str, Any]) -> QuerySet[Organization]:
    """Return the organizations that match every filter: `key`, a part of the `name`, the id of the `parent` or None."""
    columns = {"key": "key", "parent": "parent_id", "name": "name__icontains"}
    return organizations.filter(**{columns[name]: value for name, value in filters.items()})


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


def find_visible_organization(caller: Caller, organization: OrganizationName) -> Organization:
    """Return the organization of an id or of a reference (`orgs.tree.references`) if the caller may see it.

    Raises OrganizationNotFound if the organization does not exist or is outside the caller's scope, and
    OrganizationAmbiguous for a number that may be an id or a key.
    """
    return _find(visible_organizations(caller), organization)


def find_organization(organization: OrganizationName) -> Organization:
    """Return the organization without a check of the scope, for commands. Raises like `find_visible_organization`."""
    try:
        return _find(Organization.objects.all(), organization)
    except OrganizationNotFound:
        text = _reference_of(organization).text
        raise OrganizationNotFound(f"There is no organization with the key or id {text!r}.") from None


def id_to_filter_by(caller: Caller | None, organization: OrganizationName) -> int:
    """Return the id of the named organization, to filter rows that may outlive their organization.

    An id counts even if there is no such organization. Without a caller, the scope is not checked. Raises
    OrganizationNotFound for a key that no organization has, and OrganizationAmbiguous.
    """
    reference = _reference_of(organization)
    organizations = Organization.objects.all() if caller is None else visible_organizations(caller)
    try:
        return int(_find(organizations, reference).pk)
    except OrganizationNotFound:
        if reference.id is None:
            raise
        return reference.id


def find_visible_organizations(
    caller: Caller, names: Iterable[OrganizationName]
) -> Iterator[tuple[Reference, Organization | FlagsiteError]]:
    """Yield each name as a reference, with its organization or with the error of `find_visible_organization`."""
    return _find_each(visible_organizations(caller), [_reference_of(name) for name in names])


def is_named_by(text: str) -> Q:
    """Return the condition on organizations that a search for this text finds: by id, by key, or for a number both."""
    return _matches([_reference_of(text)]) or Q(pk__in=())


def _find(organizations: QuerySet[Organization], name: OrganizationName) -> Organization:
    ((_, found),) = _find_each(organizations, [_reference_of(name)])
    if isinstance(found, FlagsiteError):
        raise found
    return found


def _find_each(
    organizations: QuerySet[Organization], references: Sequence[Reference]
) -> Iterator[tuple[Reference, Organization | FlagsiteError]]:
    """Find each reference's organization among `organizations`, with one query for all of them."""
    matches = _matches(references)
    found = list(organizations.filter(matches)) if matches else []
    by_id, by_key = {row.pk: row for row in found}, {row.key: row for row in found}
    for reference in references:
        try:
            yield reference, reference.choose(by_id.get(reference.id or 0), by_key.get(reference.key or ""))
        except (OrganizationNotFound, OrganizationAmbiguous) as error:
            yield reference, error


def _matches(references: Sequence[Reference]) -> Q:
    """Return the condition on organizations that have one of the references' ids or keys; empty if there are none."""
    ids = {reference.id for reference in references if reference.id is not None}
    keys = {reference.key for reference in references if reference.key is not None}
    return (Q(pk__in=ids) if ids else Q()) | (Q(key__in=keys) if keys else Q())


def _reference_of(name: OrganizationName) -> Reference:
    return name if isinstance(name, Reference) else parse_reference(name)


def visible_ancestors(caller: Caller, organization: Organization) -> QuerySet[Organization]:
    """Return the ancestors of an organization that the caller may see."""
    path = path_ids_of(organization.pk)
    if caller.organization_id is not None:
        path = path[path.index(caller.organization_id) :] if caller.organization_id in path else []
    return Organization.objects.filter(pk__in=path[:-1])


def in_trees_to_lock(caller: Caller, *names: OrganizationName | None) -> Iterator[int | Reference]:
    """Yield organizations whose trees to lock, so that nothing that the caller sees of the named ones changes.

    A caller with a scope sees a part of one tree. So nobody holds up the trees of others by naming their organizations.
    """
    if caller.organization_id is not None:
        yield caller.organization_id
    else:
        yield from (_reference_of(name) for name in names if name is not None)


@contextmanager
def hold_visible_organization(caller: Caller, organization: OrganizationName) -> Iterator[Organization]:
    """Yield the organization if the caller may see it, in a transaction with the shared lock of its tree.

    Raises OrganizationNotFound, OrganizationAmbiguous.
    """
    with transaction.atomic():
        yield hold(lambda: find_visible_organization(caller, organization), *in_trees_to_lock(caller, organization))


@contextmanager
def watch_visible_organization(
    caller: Caller, organization: OrganizationName, *others: OrganizationName | None
) -> Iterator[Organization]:
    """Yield the organization if the caller may see it, for several queries that read its subtree.

    The queries share a `snapshot`. Inside a transaction that has already begun, as with an Idempotency-Key, they see
    its tree, and those of the `others`, under their shared locks. Raises OrganizationNotFound, OrganizationAmbiguous.
    """
    if connection.in_atomic_block:
        names = in_trees_to_lock(caller, organization, *others)
        yield hold(lambda: find_visible_organization(caller, organization), *names)
        return
    with snapshot():
        yield find_visible_organization(caller, organization)


def hold(find: Callable[[], Organization], *names: int | Reference) -> Organization:
    """Lock the trees of the named organizations shared, and return the organization that `find` finds afterwards.

    If it was created since the lock, its tree is not locked. Then lock this tree too, and find it again.
    """
    locked = locks.lock_trees_for_reading(*names)
    while (found := find()).tree_id not in locked:
        locked |= locks.lock_trees_for_reading(found.pk)
    return found


def check_placement(caller: Caller, *, organization_id: int | None, parent: OrganizationName | None) -> int | None:
    """Check that the caller may place an organization (None: a new one) below this parent (None: make it a root).

    Returns the id of the parent. Raises OutsideOfYourSubtree, and the errors of `find_visible_organization` for the
    parent.
    """
    check_not_top_of_scope(caller, organization_id)
    if parent is not None:
        return int(find_visible_organization(caller, parent).pk)
    if caller.organization_id is not None:
        raise OutsideOfYourSubtree
    return None


def is_parent_of(organization: Organization, parent: OrganizationName | None) -> bool:
    """Return whether the organization is directly below this parent now, by the parent's id; None means no parent."""
    if parent is None:
        return organization.parent_id is None
    reference = _reference_of(parent)
    return reference.key is None and reference.id is not None and reference.id == organization.parent_id


def check_not_top_of_scope(caller: Caller, organization_id: int | None) -> None:
    """Check that the organization is not the top of the caller's scope, which the caller must not move or delete.

    Raises OutsideOfYourSubtree.
    """
    if organization_id is not None and organization_id == caller.organization_id:
        raise OutsideOfYourSubtree
