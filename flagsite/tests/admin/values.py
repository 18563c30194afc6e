"""What tests of the admin site's pages do with flags, and read off the pages."""

from __future__ import annotations

from flags.states.set_flag import set_flag
from jobs.engine import runner
from orgs.tree.models import Organization


def put(organization: Organization, flag: str, enabled: bool) -> None:
    """Set a flag, and have it carried down."""
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled)
    while runner.run_next("propagation"):
        pass


def mark(page: str) -> str:
    """The fingerprint of what a page has shown."""
    return page.partition('name="shown" value="')[2].partition('"')[0]
