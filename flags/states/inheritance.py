"""Flag states of organizations that were created, moved or imported.

The signals of a placement call these functions in the transaction that changes the tree. This transaction holds the
tree lock, so nobody accepts a change and no job writes a chunk at the same time. Up to FLAGS_INLINE_ROWS flag states
are written in this transaction; a propagation writes larger numbers.

A *created* organization gets copies of its parent's flag states, with the same change numbers. So a propagation that
is still running, or a later retry, reaches the new organization like every other organization.

A *moved* organization gets the values of its new parent under a new change number, as if somebody had set them on it
now. The values of the parent are its flag states, and also newer accepted changes on the parent or its ancestors whose
propagation has not reached the parent yet. If nobody set a flag on the new parent or above it, the organization keeps
its value of this flag. If a propagation from the former ancestors had not reached it yet, this change goes on under
its own change number. A value that the organization keeps is recorded as a change on it. So Flagsite finds every flag
that has to do with a subtree (`flags.definitions.visible_flags`) without reading all flag states of the subtree. It can
also rebuild the flag states from the changes (`flags.states.recalculation`).

A flag that is being purged gets no new flag states.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from flags.evaluation.engine import StateValue
from flags.states import flag_settings, propagation, sql
from flags.states.models import IS_COMPLETE, Change
from flags.states.sql import Span
from flagsite.core import actor
from flagsite.core.ids import MAX_ID
from jobs.engine import lifecycle
from orgs.tree.paths import path_ids_of
from orgs.tree.signals import Placement
from orgs.tree.subtrees import Stretch, is_at_or_below, is_in_subtree, load_subtree, subtree_size

log = structlog.get_logger(__name__)


def write_placed_states(*, placements: list[Placement], **_: Any) -> list[int]:
    """Write the flag states of placed organizations; returns the ids of the jobs that this function has created."""
    jobs = _copy_to_created([placement for placement in placements if placement.is_new and placement.parent_id])
    for placement in placements:
        if not placement.is_new:
            values = values_after_move(placement, number=sql.next_number())
            jobs += _apply(placement.organization_id, values)
            _record_kept(placement, values)
    return jobs


# In the order of the primary key, as a purge deletes, which takes no tree lock (`flags.definitions.purge`).
DELETE_STATES = f"""
SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off;
DELETE FROM flags_flagstate
 WHERE organization_id = ANY(ARRAY(SELECT id FROM orgs_organization WHERE {is_in_subtree()} ORDER BY id));
DELETE FROM flags_flagsetting
 WHERE organization_id = ANY(ARRAY(SELECT id FROM orgs_organization WHERE {is_in_subtree()} ORDER BY id));
SET LOCAL enable_bitmapscan TO DEFAULT; SET LOCAL enable_seqscan TO DEFAULT;
"""  # noqa: S608 - no input in it


def remove_states(*, stretch: Stretch, **_: Any) -> None:
    """Delete the flag states and settings of organizations before them (receiver of `organizations_removing`)."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_STATES, stretch.parameters())


ROWS_TO_COPY = f"""
SELECT top.parent_id, sum(top.size) * (
       SELECT count(*) FROM flags_flagstate state JOIN flags_flag flag ON flag.id = flag_id AND NOT purging
        WHERE organization_id = top.parent_id)
  FROM (SELECT parent_id, {subtree_size("organization")} AS size
          FROM orgs_organization organization WHERE id = ANY(%(created_ids)s)) top
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
 WHERE top.id = ANY(%(created_ids)s)
 ORDER BY organization.id, state.flag_id
    ON CONFLICT (organization_id, flag_id) DO NOTHING
"""  # noqa: S608 - no input in it


def _copy_to_created(placements: list[Placement]) -> list[int]:
    """Copy flag states from parents to organizations that were created below them; returns the ids of created jobs.

    Parents with few rows to copy come first, until FLAGS_INLINE_ROWS rows are reached. Every other parent gets a job.
    """
    if not placements:
        return []
    created_of: dict[int, list[int]] = {}
    for placement in placements:
        created_of.setdefault(placement.parent_id or 0, []).append(placement.organization_id)
    with connection.cursor() as cursor:
        cursor.execute(ROWS_TO_COPY, {"created_ids": [placement.organization_id for placement in placements]})
        budget = int(settings.FLAGS_INLINE_ROWS)
        inline: list[int] = []
        large: list[int] = []
        for parent_id, rows in cursor.fetchall():
            budget -= rows
            (inline if budget >= 0 else large).append(parent_id)
        inline_ids = [created_id for parent_id in inline for created_id in created_of[parent_id]]
        cursor.execute(COPY_FROM_PARENTS, {"created_ids": inline_ids})
    return [job_id for parent_id in large for job_id in _start_job_for_created(parent_id, created_of[parent_id])]


def _start_job_for_created(parent_id: int, created_ids: list[int]) -> list[int]:
    """Create one job for all organizations that were created below a parent; returns its id in a list.

    The ids of created organizations are higher than all older ids, so the job begins after the last older id. There is
    no job if there is nothing to copy any more, because a flag was marked as purging since the rows were counted.
    """
    values = list(_values_of(parent_id).values())
    if not values:
        return []
    if len(created_ids) == 1:
        return [_start_job(created_ids[0], values)]
    return [_start_job(parent_id, values, after=min(created_ids) - 1)]


def values_after_move(placement: Placement, *, number: int) -> list[StateValue]:
    """Return the values that a move gives to the subtree of the moved organization.

    Values of the new parent get `number` as their change number, because the move is a change of its own. Changes that
    were still on their way from the former ancestors keep their change numbers. This function only reads, so a preview
    can call it too.
    """
    values: dict[int, StateValue] = {}
    if placement.parent_id is not None:
        parent_id = placement.parent_id
        path_ids = path_ids_of(parent_id)
        for value in [*_values_of(parent_id).values(), *_pending_changes(to=parent_id, ancestor_ids=path_ids)]:
            if value.flag_id not in values or values[value.flag_id].number < value.number:
                values[value.flag_id] = value
        values = {flag: StateValue(flag, value.enabled, value.source_id, number) for flag, value in values.items()}
    former = list(placement.former_ancestor_ids or ())
    pending = _pending_changes(to=placement.organization_id, ancestor_ids=former)
    return [*values.values(), *(value for value in pending if value.flag_id not in values)]


def _values_of(organization_id: int | None) -> dict[int, StateValue]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT flag_id, state.enabled, source_id, change_number
              FROM flags_flagstate state JOIN flags_flag flag ON flag.id = flag_id AND NOT purging
             WHERE organization_id = %s
            """,
            [organization_id],
        )
        return {row[0]: StateValue(*row) for row in cursor.fetchall()}


PENDING_CHANGES = """
SELECT DISTINCT ON (change.flag_id) change.flag_id, change.enabled, change.source_id, change.number
  FROM flags_change change  -- index change_on_organization
  JOIN flags_flag flag ON flag.id = change.flag_id AND NOT flag.purging
  LEFT JOIN flags_flagstate state ON state.organization_id = %(to)s AND state.flag_id = change.flag_id
 WHERE change.organization_id = ANY(%(ancestor_ids)s) AND change.job_id IS NOT NULL
   AND change.number >= COALESCE(state.change_number, 0)
   AND NOT EXISTS (  -- settled: every organization has it, or somebody cancelled it
        SELECT FROM jobs_job job
         WHERE (job.id = change.job_id OR job.parent_job_id = change.job_id)
           AND (job.ended_as = 'CANCELLED' OR (job.ended_as = 'COMPLETED' AND job.failed = 0)))
 ORDER BY change.flag_id, change.number DESC
"""


def _pending_changes(*, to: int, ancestor_ids: list[int]) -> list[StateValue]:
    """For each flag, the newest change on the ancestors whose propagation may not have reached all of `to`'s subtree.

    A change whose job failed counts too, because a retry may still propagate it.
    """
    if not ancestor_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(PENDING_CHANGES, {"to": to, "ancestor_ids": ancestor_ids})
        return [StateValue(*row) for row in cursor.fetchall()]


def _apply(organization_id: int, values: list[StateValue]) -> list[int]:
    """Write values to the whole subtree, or create a job for it; returns the id of the created job in a list."""
    if not values:
        return []
    subtree = load_subtree(organization_id)
    if subtree is None:
        return []
    flag_settings.record_move(subtree, values)
    if subtree.size * len(values) > settings.FLAGS_INLINE_ROWS:
        return [_start_job(organization_id, values, total=subtree.size)]
    for value in values:
        sql.write_span(subtree, Span(0, MAX_ID, subtree.size), value, job_id=None)
    _record(organization_id, values, job_id=None)
    return []


def _start_job(organization_id: int, values: list[StateValue], *, total: int | None = None, after: int = 0) -> int:
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


RECORD_KEPT = f"""
INSERT INTO flags_change (number, flag_id, organization_id, enabled, source_id, is_partial, requested_by)
SELECT state.change_number, state.flag_id, state.organization_id, state.enabled, state.source_id,
       (SELECT bool_or(NOT {IS_COMPLETE})
          FROM flags_change change
         WHERE change.flag_id = state.flag_id AND change.number = state.change_number
           AND change.organization_id = ANY(%(former_ancestors)s)), %(by)s
  FROM flags_flagstate state JOIN flags_flag flag ON flag.id = state.flag_id
 WHERE state.organization_id = %(organization)s
   AND NOT EXISTS (
        SELECT FROM flags_flagstate above WHERE organization_id = %(parent)s AND above.flag_id = state.flag_id)
   AND NOT EXISTS (  -- index change_on_organization
        SELECT FROM flags_change change
         WHERE change.organization_id = state.organization_id AND change.flag_id = state.flag_id
           AND change.number >= state.change_number)
"""  # noqa: S608 - no input in it


def _record_kept(placement: Placement, values: list[StateValue]) -> None:
    """Record the values that a moved organization keeps, because it has no new parent, or because that has none.

    So the newest change on the path of an organization always tells what its value is (`flags.states.recalculation`).
    A value is partial if its change has not reached everything below the former ancestors, the only ones it came from.
    """
    parameters: dict[str, Any] = {
        "organization": placement.organization_id, "parent": placement.parent_id, "by": actor.current().actor[:200],
        "former_ancestors": list(placement.former_ancestor_ids or ()),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RECORD_KEPT, parameters)
    flag_settings.record_kept(placement.organization_id, values)


def _record(organization_id: int, values: list[StateValue], *, job_id: int | None) -> None:
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
