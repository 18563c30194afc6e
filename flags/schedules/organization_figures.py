"""What is planned for exactly this organization: its open scheduled changes."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

from flags.schedules.selectors import schedules_of
from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.tree.admin_sections import Figure
from orgs.tree.models import Organization


def scheduled(organization: Organization, caller: Caller) -> list[Figure]:
    """Return the number of open scheduled changes of the organization, with one query."""
    count = schedules_of(caller).open().filter(organization_id=organization.pk).count()
    address = f"{reverse('admin:flags_flagschedule_changelist')}?{urlencode({'q': organization.key})}"
    return [Figure("Scheduled changes", counted(count, "open change"), address)]
