"""What happens to access when organizations are deleted: keys go with them, and people keep their bounds."""

from __future__ import annotations

from typing import Any

from orgs.access.models import AccessKey, StaffScope
from orgs.errors import OrganizationHasStaff
from orgs.tree.models import Organization


def remove_access(*, organization: Organization, **_: Any) -> None:
    """Delete the access keys of an organization and of everything below it; receives `organization_removing`.

    Raises OrganizationHasStaff while people are bound to any of them: a person who is bound to nothing sees
    everything, so nobody may lose their bounds on the way.
    """
    subtree = Organization.objects.under(organization)
    bound = StaffScope.objects.filter(organization__in=subtree).count()
    if bound:
        people = "1 person is" if bound == 1 else f"{bound:,} people are"
        raise OrganizationHasStaff(f"{people} bound to it or to one below it; bind them elsewhere first.")
    AccessKey.objects.filter(organization__in=subtree).delete()
