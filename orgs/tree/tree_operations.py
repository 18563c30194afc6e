"""Operations on the tree: create, rename, move and delete, without a check of access.

The API and the admin site call them through `orgs.tree.authorized_operations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from orgs.audit import audit_log
from orgs.errors import DuplicateOrganizationKey, OrganizationHasChildren, OrganizationNotFound
from orgs.tree import integrity, locks, move_options
from orgs.tree.integrity import TreeReport
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions


def create(*, name: str, key: str, parent_id: int | None = None, reason: str = "") -> Organization:
    """Create an organization as the last child of `parent_id`, or as a root.

    It takes over its parent's flag states in the same transaction. Raises DuplicateOrganizationKey, and
    OrganizationNotFound if the parent does not exist.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(parent_id)
        if Organization.objects.filter(key=key).exists():
            raise _duplicate(key)
        organization = Organization(name=name, key=key, parent_id=parent_id)
        try:
            organization.save()
        except IntegrityError as error:  # somebody has created it in another tree meanwhile
            if Organization.objects.filter(key=key).exists():
                raise _duplicate(key) from error
            raise
        _record("organization.create", organization, reason, name=name, parentId=parent_id)
    return organization


def rename(*, organization_id: int, name: str, reason: str = "") -> Organization:
    """Give an organization another name; its key and its parent stay. Raises OrganizationNotFound."""
    with transaction.atomic():
        organization = _get(organization_id)
        before, organization.name = organization.name, name
        organization.save(update_fields=["name"])
        _record("organization.rename", organization, reason, before=before, after=name)
    return organization


def move(
    *, organization_id: int, parent_id: int | None, options: MoveOptions = move_options.DEFAULTS, reason: str = ""
) -> Organization:
    """Move an organization and everything below it below another parent (None: make it a root).

    It carries its settings of flags along, and inherits the rest from the new parent, unless the options say that it
    keeps the values. Raises OrganizationNotFound for the organization or the parent, and the errors of the checks
    (`orgs.tree.move_options`). Raises MoveUnderOwnDescendant, or OrganizationBelowItself if damaged tree columns hide
    that the parent is below it.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(organization_id, parent_id)
        organization = _get(organization_id)
        before, organization.parent_id = organization.parent_id, parent_id
        if before != parent_id:  # a job that has moved it already may try again
            move_options.check(organization_id, parent_id, options)
        organization.keeps_values = options.keeps_values
        organization.save()
        if before != parent_id:
            more = {"valuesKept": len(organization.kept_values), "changeNumber": organization.change_number}
            told = {name: value for name, value in more.items() if value}
            _record("organization.move", organization, reason, before=before, after=parent_id, **told)
    return organization


def delete(*, organization_id: int, subtree: bool = False, reason: str = "") -> int:
    """Delete an organization, and return the number of deleted organizations.

    `subtree` also deletes everything below it; without it, OrganizationHasChildren is raised if there are children.
    Also raises OrganizationNotFound and OrganizationHasStaff.
    """
    with transaction.atomic():
        locks.lock_trees_for_writing(organization_id)
        organization = _get(organization_id)
        if organization.has_children and not subtree:
            raise OrganizationHasChildren
        deleted, _ = organization.delete()
        _record("organization.delete", organization, reason, name=organization.name, organizations=deleted)
    return deleted


@dataclass(frozen=True, slots=True)
class TreeCheck:
    """A check of the tree: the problems before and after a repair, and the number of repaired organizations.

    Without a repair, `repaired` is None, and both reports are the same.
    """

    before: TreeReport
    after: TreeReport
    repaired: int | None = None


def repair() -> int:
    """Write the columns of the nested set as the parent links require; return the number of changed organizations."""
    return integrity.repair(
        on_repaired=lambda repaired: audit_log.record("tree.repair", "organizations", organizations=repaired)
    )


def check() -> TreeCheck:
    """Compare the columns of all organizations with the parent links, and change nothing."""
    report = integrity.find_problems()
    return TreeCheck(report, report)


def check_and_repair() -> TreeCheck:
    """Check the tree, and repair it if it has problems. Raises TreeBusy like `locks.lock_all_trees_for_writing`."""
    checked = check()
    if checked.before.sound:
        return checked
    repaired = repair()
    return TreeCheck(checked.before, integrity.find_problems(), repaired)


def _record(action: str, organization: Organization, reason: str, **details: Any) -> None:
    subject = f"organization:{organization.key}"
    audit_log.record(action, subject, organization_id=organization.pk, reason=reason, **details)


def _duplicate(key: str) -> DuplicateOrganizationKey:
    return DuplicateOrganizationKey(f"The key {key!r} is taken. Choose another, for instance with a prefix.")


def _get(organization_id: int) -> Organization:
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise OrganizationNotFound
    return organization
