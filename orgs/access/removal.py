"""Access when organizations are deleted: their access keys are deleted too, and people keep their scopes."""

from __future__ import annotations

from typing import Any

from orgs.access.models import AccessKey, StaffScope
from orgs.errors import OrganizationHasStaff
from orgs.tree.models import Organization
from orgs.tree.subtrees import Stretch


def remove_access(*, stretch: Stretch, **_: Any) -> None:
    """Delete the access keys of organizations that will be deleted (receiver of `organizations_removing`).

    Raises OrganizationHasStaff like `check_without_staff`.
    """
    check_without_staff(stretch)
    AccessKey.objects.filter(organization__in=Organization.objects.of(stretch)).delete()


def check_without_staff(stretch: Stretch) -> None:
    """Check that none of the organizations is a person's scope. Raises OrganizationHasStaff.

    A person without a scope sees everything, so a deletion must not remove a scope.
    """
    bound = StaffScope.objects.filter(organization__in=Organization.objects.of(stretch)).count()
    if bound:
        people = "1 person is" if bound == 1 else f"{bound:,} people are"
        raise OrganizationHasStaff(
            f"{people} bound to it or to an organization below it. Bind them to another organization first."
        )
