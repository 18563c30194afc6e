"""Access when organizations are deleted: their access keys are deleted too, and people keep their scopes."""

from __future__ import annotations

from typing import Any

from orgs.access.models import AccessKey, StaffScope
from orgs.errors import OrganizationHasStaff
from orgs.tree.models import Organization


def remove_access(*, organization: Organization, **_: Any) -> None:
    """Delete the access keys of an organization and of everything below it (receiver of `organization_removing`).

    Raises OrganizationHasStaff if one of these organizations is a person's scope. A person without a scope sees
    everything, so a deletion must not remove a scope.
    """
    subtree = Organization.objects.under(organization)
    bound = StaffScope.objects.filter(organization__in=subtree).count()
    if bound:
        people = "1 person is" if bound == 1 else f"{bound:,} people are"
        raise OrganizationHasStaff(
            f"{people} bound to it or to an organization below it. Bind them to another organization first."
        )
    AccessKey.objects.filter(organization__in=subtree).delete()
