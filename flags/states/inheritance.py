"""Flag states of organizations that have just got a new place: created, moved or imported.

Both run in the transaction that changes the tree, under its lock, so no change is accepted and no chunk written
meanwhile. What is small is written there; more than FLAGS_INLINE_ROWS rows become a propagation job.

A *created* organization copies its parent's rows as they are, numbers included: a propagation that is still on its
way reaches it like any other, and a later retry too.

A *moved* one takes over what holds for its new parent, like a set made now on the moved organization: the values get
a new number. What holds for the parent are its rows, and newer changes on it or above it that have been accepted but
have not reached it yet. For flags that nobody set above the new place it keeps its own, and a change that was on its
way to it from the old place is carried along under its own number.

Of a flag that is being purged nobody gets anything.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from flags.states import propagation, sql
from flags.states.models import Change
from flags.states.sql import Span, Value
from flagsite.core import actor
from flagsite.core.ids import MAX_ID
from jobs.engine import lifecycle
from orgs.tree.models import Organization
from orgs.tree.signals import Placement
from orgs.tree.subtrees import is_at_or_below, is_in_subtree, load_subtree, subtree_size

log = structlog.get_logger(__name__)


def take_over(*, placements: list[Placement], **_: Any) -> list[int]:
    """Give the placed organizations their values; returns the ids of the jobs that this takes."""
    jobs = _take_over_created([placement for placement in placements if placement.is_new and placement.parent_id])
    for placement in placements:
        if not placement.is_new:
            values = values_after_move(placement, number=sql.next_number())
            jobs += _apply(placement.organization_id, values)
    return jobs


DELETE_STATES = f"""
DELETE FROM flags_flagstate state USING orgs_organization organization
 WHERE state.organization_id = organization.id AND {is_in_subtree("organization")}
"""  # noqa: S608 - no input in it


def remove_states(*, organization: Organization, **_: Any) -> None:
    """Delete the states of an organization that is about to be deleted, and of all below it."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_STATES, organization.subtree.parameters())


ROWS_TO_COPY = f"""
SELECT top.parent_id, sum(top.size) * (
       SELECT count(*) FROM flags_flagstate state JOIN flags_flag flag ON flag.id = flag_id AND NOT purging
        WHERE organization_id = top.parent_id)
  FROM (SELECT parent_id, {subtree_size("organization")} AS size
          FROM orgs_organization organization WHERE id = ANY(%(tops)s)) top
 GROUP BY top.parent_id
 ORDER BY 2, 1
"""  # noqa: S608 - no input in it
COPY_FROM_PARENTS = f"""
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, job_id, updated_at)
SELECT organization.id, state.flag_id, state.enabled, state.source_id, state.change_number, state.job_id,
       statement_timestamp()
  FROM orgs_organization top
  JOIN orgs_organization organization ON {is_at_or_below("organization", "top")}
  JOIN flags_flagstate state ON state.organization_id = top.parent_id
  JOIN flags_flag flag ON flag.id = state.flag_id AND NOT flag.purging
 WHERE top.id = ANY(%(tops)s)
 ORDER BY organization.id, state.flag_id
    ON CONFLICT (organization_id, flag_id) DO NOTHING
"""  # noqa: S608 - no input in it


def _take_over_created(placements: list[Placement]) -> list[int]:
    """Copy parents' rows down to what was created below them: the small ones here, a job for each of the others."""
    if not placements:
        return []
    tops: dict[int, list[int]] = {}
    for placement in placements:
        tops.setdefault(placement.parent_id or 0, []).append(placement.organization_id)
    with connection.cursor() as cursor:
        cursor.execute(ROWS_TO_COPY, {"tops": [placement.organization_id for placement in placements]})
        budget = int(settings.FLAGS_INLINE_ROWS)
        inline: list[int] = []
        large: list[int] = []
        for parent_id, rows in cursor.fetchall():
            budget -= rows
            (inline if budget >= 0 else large).append(parent_id)
        cursor.execute(COPY_FROM_PARENTS, {"tops": [top for parent_id in inline for top in tops[parent_id]]})
    return [job_id for parent_id in large for job_id in _start_job_for_created(parent_id, tops[parent_id])]


def _start_job_for_created(parent_id: int, tops: list[int]) -> list[int]:
    """One job for all that were created below a parent: their ids are higher than those of all that were there.

    None where there is nothing left to copy: flags may be marked as purging since the rows were counted.
    """
    values = list(_rows_of(parent_id).values())
    if not values:
        return []
    if len(tops) == 1:
        return [_start_job(tops[0], values)]
    return [_start_job(parent_id, values, after=min(tops) - 1)]


def values_after_move(placement: Placement, *, number: int) -> list[Value]:
    """What a moved organization takes over from its new place, and what it carries along from the old one.

    What it takes over is a change made now, thus gets the `number`. Reads only, so a preview asks it too.
    """
    values: dict[int, Value] = {}
    if placement.parent_id is not None:
        parent = Organization.objects.get(pk=placement.parent_id)
        above = [*Organization.objects.above(parent).values_list("pk", flat=True), parent.pk]
        for value in [*_rows_of(parent.pk).values(), *_on_their_way(to=parent.pk, above=above)]:
            if value.flag_id not in values or values[value.flag_id].number < value.number:
                values[value.flag_id] = value
        values = {flag: Value(flag, value.enabled, value.source_id, number) for flag, value in values.items()}
    former = list(placement.former_ancestor_ids or ())
    carried = _on_their_way(to=placement.organization_id, above=former)
    return [*values.values(), *(value for value in carried if value.flag_id not in values)]


def _rows_of(organization_id: int | None) -> dict[int, Value]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT flag_id, state.enabled, source_id, change_number
              FROM flags_flagstate state JOIN flags_flag flag ON flag.id = flag_id AND NOT purging
             WHERE organization_id = %s
            """,
            [organization_id],
        )
        return {row[0]: Value(*row) for row in cursor.fetchall()}


ON_THEIR_WAY = """
SELECT DISTINCT ON (change.flag_id) change.flag_id, change.enabled, change.source_id, change.number
  FROM flags_change change  -- index change_on_organization
  JOIN flags_flag flag ON flag.id = change.flag_id AND NOT flag.purging
  LEFT JOIN flags_flagstate state ON state.organization_id = %(to)s AND state.flag_id = change.flag_id
 WHERE change.organization_id = ANY(%(above)s) AND change.job_id IS NOT NULL
   AND change.number >= COALESCE(state.change_number, 0)
   AND NOT EXISTS (  -- ended for good: carried to all, or cancelled
        SELECT FROM jobs_job job
         WHERE (job.id = change.job_id OR job.parent_job_id = change.job_id)
           AND (job.status = 'CANCELLED' OR (job.status = 'COMPLETED' AND job.failed = 0)))
 ORDER BY change.flag_id, change.number DESC
"""


def _on_their_way(*, to: int, above: list[int]) -> list[Value]:
    """For each flag the newest change on the organizations `above` that may not have reached all below `to` yet.

    A failed one counts: its number is lower than those of later changes, and a retry may still carry it down.
    """
    if not above:
        return []
    with connection.cursor() as cursor:
        cursor.execute(ON_THEIR_WAY, {"to": to, "above": above})
        return [Value(*row) for row in cursor.fetchall()]


def _apply(organization_id: int, values: list[Value]) -> list[int]:
    """Write values to the whole subtree, or start a job that does; returns the job's id, if any."""
    if not values:
        return []
    subtree = load_subtree(organization_id)
    if subtree is None:
        return []
    if subtree.size * len(values) > settings.FLAGS_INLINE_ROWS:
        return [_start_job(organization_id, values, total=subtree.size)]
    for value in values:
        sql.write_span(subtree, Span(0, MAX_ID, subtree.size), value, job_id=None)
    _record(organization_id, values, job_id=None)
    return []


def _start_job(organization_id: int, values: list[Value], *, total: int | None = None, after: int = 0) -> int:
    job = lifecycle.create(
        kind=propagation.KIND,
        organization_id=organization_id,
        arguments={"placement": True, "after": after},
        total=total,
        requested_by=actor.current().actor,
        correlation_id=actor.current().correlation_id,
    )
    _record(organization_id, values, job_id=job.pk)
    log.info("placement_job_created", jobId=job.pk, organizationId=organization_id, flags=len(values))
    return job.pk


def _record(organization_id: int, values: list[Value], *, job_id: int | None) -> None:
    Change.objects.bulk_create(
        Change(
            number=value.number,
            flag_id=value.flag_id,
            organization_id=organization_id,
            enabled=value.enabled,
            source_id=value.source_id,
            job_id=job_id,
            requested_by=actor.current().actor,
        )
        for value in values
    )
