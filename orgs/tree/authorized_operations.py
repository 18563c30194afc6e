"""Operations on the tree for a caller: `orgs.tree.tree_operations`, with access checked under the tree locks.

If access were checked earlier, an organization could move to another customer between the check and the write.
"""

from __future__ import annotations

from django.db import transaction

from orgs.access import visible_organizations
from orgs.access.caller import Caller
from orgs.access.removal import check_without_staff
from orgs.access.visible_organizations import OrganizationName
from orgs.errors import MoveUnderOwnDescendant, OrganizationHasChildren
from orgs.tree import agreed_deletions, large_changes, locks, move_options, tree_operations
from orgs.tree.agreed_deletions import AgreedDeletion
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import Organization
from orgs.tree.move_options import DEFAULTS, MoveOptions


def create(
    caller: Caller, *, name: str, key: str, parent: OrganizationName | None = None, reason: str = ""
) -> Organization:
    """Create an organization if the caller may place one below this parent.

    Raises the errors of `check_placement` and `tree_operations.create`.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(*visible_organizations.in_trees_to_lock(caller, parent))
        parent_id = visible_organizations.check_placement(caller, organization_id=None, parent=parent)
        return tree_operations.create(name=name, key=key, parent_id=parent_id, reason=reason)


def rename(caller: Caller, organization: OrganizationName, *, name: str, reason: str = "") -> Organization:
    """Rename an organization that the caller may see. Raises OrganizationNotFound, OrganizationAmbiguous."""
    with visible_organizations.hold_visible_organization(caller, organization) as found:
        return tree_operations.rename(organization_id=found.pk, name=name, reason=reason)


def move(
    caller: Caller,
    organization: OrganizationName,
    *,
    parent: OrganizationName | None,
    name: str | None = None,
    options: MoveOptions = DEFAULTS,
    reason: str = "",
) -> Organization | StartedJob:
    """Move an organization if the caller may; with `name`, rename it too.

    If many organizations move (`large_changes.is_large`), start the job that moves them, and return the job. A parent
    that the caller may not see is allowed if the organization is below it already. Raises OrganizationNotFound and the
    errors of `check_placement` and `tree_operations.move`.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(*visible_organizations.in_trees_to_lock(caller, organization, parent))
        found = visible_organizations.find_visible_organization(caller, organization)
        parent_id = _check_parent(caller, found, parent)
        if name is not None:
            tree_operations.rename(organization_id=found.pk, name=name, reason=reason)
        if parent_id != found.parent_id and large_changes.is_large(found):
            check_not_below(found, parent_id)
            move_options.check(found.pk, parent_id, options)
            return large_changes.start_move(found, parent_id, options=options, by=caller.name, reason=reason)
        return tree_operations.move(organization_id=found.pk, parent_id=parent_id, options=options, reason=reason)


def check_move(caller: Caller, organization: Organization, parent: OrganizationName | None) -> int | None:
    """Check that the caller may move an organization below this parent, and return the parent's id.

    Raises MoveUnderOwnDescendant, OrganizationNotFound, OrganizationAmbiguous, OutsideOfYourSubtree.
    """
    parent_id = _check_parent(caller, organization, parent)
    check_not_below(organization, parent_id)
    return parent_id


def _check_parent(caller: Caller, organization: Organization, parent: OrganizationName | None) -> int | None:
    """Return the id of the parent. One that the caller may not see is allowed if the organization is below it now."""
    if visible_organizations.is_parent_of(organization, parent):
        return organization.parent_id
    return visible_organizations.check_placement(caller, organization_id=organization.pk, parent=parent)


def check_not_below(organization: Organization, parent_id: int | None) -> None:
    """Check that the new parent is not below the organization. Raises MoveUnderOwnDescendant."""
    if parent_id is not None and Organization.objects.under(organization).filter(pk=parent_id).exists():
        raise MoveUnderOwnDescendant


def delete(
    caller: Caller,
    organization: OrganizationName,
    *,
    subtree: bool = False,
    agreed: AgreedDeletion = agreed_deletions.ANYTHING,
    reason: str = "",
) -> int | StartedJob:
    """Delete an organization if the caller may, and return the number of deleted organizations.

    With `subtree`, everything below it goes too. If these are many organizations (`large_changes.is_large`), start the
    job that deletes them, and return the job. Raises OrganizationNotFound, OutsideOfYourSubtree, the errors of the
    checks (`orgs.tree.agreed_deletions`), and the errors of `tree_operations.delete`.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(*visible_organizations.in_trees_to_lock(caller, organization))
        found = visible_organizations.find_visible_organization(caller, organization)
        visible_organizations.check_not_top_of_scope(caller, found.pk)
        agreed_deletions.check(found.pk, agreed)
        if subtree and large_changes.is_large(found):
            check_without_staff(found.subtree.stretch)
            return large_changes.start_deletion(found, by=caller.name, reason=reason)
        return tree_operations.delete(organization_id=found.pk, subtree=subtree, reason=reason)


def check_deletion(caller: Caller, organization: Organization, *, subtree: bool) -> None:
    """Check that the caller may delete an organization. Raises the errors of `delete`, except those of the checks."""
    visible_organizations.check_not_top_of_scope(caller, organization.pk)
    if organization.has_children and not subtree:
        raise OrganizationHasChildren
    check_without_staff(organization.subtree.stretch)
