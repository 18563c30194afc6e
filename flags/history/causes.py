"""Who caused a past value: the change with the highest number on the path, and when its job had written it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection

from flags.history.past_settings import PastPath
from flags.states.models import EXEMPT, MOVE


@dataclass(frozen=True, slots=True)
class Cause:
    """The change that caused a past value.

    It counts since `accepted_at`. At `settled_at`, its job had written the flag states of all organizations below;
    `settling` says that this was still to come. For a change above a caller's scope, nothing tells who made it and why.
    """

    number: int
    accepted_at: datetime
    settled_at: datetime | None
    settling: bool
    job_id: int | None = None
    requested_by: str | None = None
    reason: str | None = None


# Clean-ups delete jobs; the change then keeps when its job had ended (`flags.states.partial_changes`).
CAUSES = """
SELECT asked.flag_id, change.job_id, change.requested_by, change.kind, change.created_at,
       CASE WHEN change.job_id IS NULL THEN COALESCE(change.settled_at, change.created_at)
            ELSE (SELECT CASE WHEN bool_and(attempt.completed_at IS NOT NULL) THEN max(attempt.completed_at) END
                    FROM jobs_job attempt
                   WHERE attempt.id = change.job_id OR attempt.parent_job_id = change.job_id) END
  FROM unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(numbers)s::bigint[])
       AS asked (organization_id, flag_id, number), LATERAL (
       SELECT * FROM flags_change  -- index change_on_organization
        WHERE organization_id = asked.organization_id AND flag_id = asked.flag_id AND number = asked.number
        ORDER BY id LIMIT 1) change
"""
SAYS_NO_REASON = frozenset({MOVE, EXEMPT})
"""The kinds of changes whose reason the setting does not have, because it keeps the reason of its value."""


def causes(path: PastPath, flag_ids: Iterable[int]) -> dict[int, Cause]:
    """Return what caused the values of flags on a path, by the id of the flag, with one query."""
    asked: list[tuple[int, int, int]] = []
    found: dict[int, Cause] = {}
    for flag_id in flag_ids:
        on_path = path.settings.get(flag_id, ())
        number = path.decided(flag_id).number
        latest = [one for one in on_path if one.placed.number == number]
        if not latest:
            continue
        asked += [(one.placed.organization_id, flag_id, number) for one in latest]
        made = latest[0]
        found[flag_id] = Cause(
            number, made.created_at, made.created_at, settling=False, requested_by=made.requested_by, reason=made.reason
        )
    with connection.cursor() as cursor:
        organizations, flags, numbers = zip(*asked, strict=True) if asked else ((), (), ())
        cursor.execute(CAUSES, {"organizations": list(organizations), "flags": list(flags), "numbers": list(numbers)})
        for flag_id, job_id, requested_by, kind, accepted_at, settled_at in cursor.fetchall():
            settling = settled_at is None or settled_at > path.moment.at
            found[flag_id] = replace(
                found[flag_id], accepted_at=accepted_at, settled_at=settled_at, settling=settling, job_id=job_id,
                requested_by=requested_by, reason="" if kind in SAYS_NO_REASON else found[flag_id].reason,
            )  # fmt: skip
    seen = path.seen_ids
    hidden = {flag_id for organization_id, flag_id, _ in asked if organization_id not in seen}
    return {
        flag_id: replace(cause, requested_by=None, reason=None) if flag_id in hidden else cause
        for flag_id, cause in found.items()
    }
