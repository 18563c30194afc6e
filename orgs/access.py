"""Who calls, and which organizations that caller may see: the one check between a request and an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from orgs.errors import OrganizationNotFound
from orgs.models import Organization, Role

BIGGEST_ID = 2**63 - 1


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
    if caller.organization_id is None:
        return Organization.objects.all()
    top = Organization.objects.filter(pk=caller.organization_id).first()
    return Organization.objects.under(top) if top else Organization.objects.none()


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
