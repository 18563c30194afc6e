"""What a change would do, before anybody asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from flags.models import FlagState
from orgs.access import line_of
from orgs.models import Organization

SWITCH = """
SELECT count(*), count(*) FILTER (WHERE state.enabled = %(enabled)s),
       count(*) FILTER (WHERE state.source_id = organization.id AND organization.id <> %(top)s)
  FROM orgs_organization organization
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id
   AND state.flag_id = (SELECT id FROM flags_flag WHERE key = %(flag)s)
 WHERE organization.tree_id = %(tree_id)s AND organization.lft BETWEEN %(lft)s AND %(rght)s
"""


@dataclass(frozen=True, slots=True)
class Switch:
    """Of an organization and all below it: how many there are, have the value already, were set themselves."""

    organizations: int
    unchanged: int
    set_themselves: int

    @property
    def changed(self) -> int:
        """How many would have another value than now; those without any count as off."""
        return self.organizations - self.unchanged


def switch(organization: Organization, flag_key: str, *, enabled: bool) -> Switch:
    """What setting the flag there would do now; the organization as it was just loaded."""
    parameters = {
        "enabled": enabled, "flag": flag_key, "top": organization.pk,
        "tree_id": organization.tree_id, "lft": organization.lft, "rght": organization.rght,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(SWITCH, parameters)
        return Switch(*cursor.fetchone())


def move(organization: Organization, parent: Organization | None) -> list[str]:
    """Sentences on the flags whose value the organization would take over from its new parent."""
    if parent is None:
        return ["It keeps the values that it has."]
    own = dict(FlagState.objects.filter(organization=organization).values_list("flag__key", "enabled"))
    line = line_of(parent.pk)
    theirs = FlagState.objects.filter(organization_id=line[0]).values_list("flag__key", "enabled").order_by("flag__key")
    changed = [f"{key} {'on' if enabled else 'off'}" for key, enabled in theirs if own.get(key) != enabled]
    if not changed:
        return ["No flag has another value there."]
    shown = ", ".join(changed[:20]) + (f" and {len(changed) - 20:,} more" if len(changed) > 20 else "")  # noqa: PLR2004
    return [f"It takes over, with everything below it: {shown}."]
