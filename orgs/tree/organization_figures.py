"""Who has access to exactly this organization: the access keys and the people that are bound to it."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.tree.admin_sections import Figure
from orgs.tree.models import Organization


def access(organization: Organization, caller: Caller) -> list[Figure]:
    """Return the numbers of access keys and people, for those who may open their lists, with a query for each."""
    if not caller.may(Role.ADMIN):
        return []
    of = urlencode({"of": f"id:{organization.pk}"})
    keys = AccessKey.objects.filter(organization=organization, revoked=False).count()
    found = [Figure("Access keys", counted(keys, "key"), f"{reverse('admin:orgs_accesskey_changelist')}?{of}")]
    if caller.organization_id is None:  # people with a scope administer no people
        people = StaffScope.objects.filter(organization=organization).count()
        words = counted(people, "person", "people")
        found.append(Figure("People bound to it", words, f"{reverse('admin:auth_user_changelist')}?{of}"))
    return found
