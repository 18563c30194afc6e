"""Work that begins later than its request: whether the requester may still request it."""

from __future__ import annotations

from jobs.errors import PermanentFailure
from orgs.access import requesters
from orgs.access.models import Role
from orgs.errors import NoLongerAllowed


def check_may_still(requested_by: str, role: Role, *, organization_id: int | None, again: str) -> None:
    """Check that the actor that requested the job may still request it, before the job changes anything.

    `organization_id` is the top of what the job changes, and None means everything. `again` is the sentence that says
    what somebody else can do. Raises PermanentFailure.
    """
    try:
        requesters.check_may_still(requested_by, role, organization_id=organization_id)
    except NoLongerAllowed as error:
        raise PermanentFailure(
            f"{requested_by} has requested this and may no longer request it: {error.detail}. {again}"
        ) from error
