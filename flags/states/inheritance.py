"""Flag states of organizations that were created, moved or imported.

The signals of a placement call these functions in the transaction that changes the tree. This transaction holds the
tree lock, so nobody accepts a change and no job writes a chunk at the same time. Up to FLAGS_INLINE_ROWS flag states
are written in this transaction; a propagation writes larger numbers.

A *created* organization gets copies of its parent's flag states, with the same change numbers. So a propagation that
is still running, or a later retry, reaches the new organization like every other organization. A value that counts
only for the parent is not copied.

A *moved* organization carries the settings along that were made on it and below it. What it inherits is decided anew,
for each flag that somebody has decided about above the former or the new place. The move has a change number of its
own, so a propagation from the former ancestors writes nothing there any more. If the request says so, the values that
the organization had before become settings of its own, under the number of the move.

A flag that is being purged gets no new flag states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from flags.states import flag_settings, propagation, sql
from flags.states.models import MOVE
from flags.states.move_planning import kept_by_move
from flags.states.placed_settings import decided_on_paths, pieces_of_subtree
from flags.states.setting_rules import DecidedValue
from flags.states.single_states import write_values
from flags.states.sql import Span
from flagsite.core import actor
from flagsite.core.ids import MAX_ID
from jobs.engine import lifecycle
from orgs.tree.move_options import KeptValue
from orgs.tree.signals import Placement
from orgs.tree.subtrees import (
    Stretch,
    Subtree,
    is_at_or_below,
    is_in_subtree,
    load_subtree,
    load_subtrees,
    subtree_size,
)

log = structlog.get_logger(__name__)


def write_placed_states(*, placements: list[Placement], **_: Any) -> list[int]:
    """Write the flag states of placed organizations; returns the ids of the jobs that this function has created."""
    jobs = _copy_to_created([placement for placement in placements if placement.is_new and placement.parent_id])
    return jobs + _write_moved([placement for placement in placements if not placement.is_new])


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
        WHERE organization_id = top.parent_id),
       EXISTS (SELECT FROM flags_flagsetting WHERE organization_id = top.parent_id AND only_here)
  FROM (SELECT parent_id, {subtree_size("organization")} AS size
          FROM orgs_organization organization WHERE id = ANY(%(created_ids)s)) top
 GROUP BY top.parent_id
 ORDER BY 2, 1
"""  # noqa: S608 - no input in it
COPY_FROM_PARENTS = f"""
INSERT INTO flags_flagstate
       (organization_id, flag_id, enabled, source_id, change_number, job_id, locked, variant, updated_at)
SELECT organization.id, state.flag_id, state.enabled, state.source_id, state.change_number, state.job_id, state.locked,
       state.variant, statement_timestamp()
  FROM orgs_organization top
  JOIN orgs_organization organization ON {is_at_or_below("organization", "top")}
  JOIN flags_flagstate state ON state.organization_id = top.parent_id
  JOIN flags_flag flag ON flag.id = state.flag_id AND NOT flag.purging
 WHERE top.id = ANY(%(created_ids)s)
   AND NOT EXISTS (SELECT FROM flags_flagsetting setting
                    WHERE setting.organization_id = top.parent_id AND setting.flag_id = flag.id AND only_here)
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
        differs = False
        for parent_id, rows, has_values_of_its_own in cursor.fetchall():
            budget -= rows
            (inline if budget >= 0 else large).append(parent_id)
            differs |= has_values_of_its_own and budget >= 0
        inline_ids = [created_id for parent_id in inline for created_id in created_of[parent_id]]
        cursor.execute(COPY_FROM_PARENTS, {"created_ids": inline_ids})
    if differs:
        _write_where_parents_differ(inline_ids)
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


ONLY_ON_PARENTS = """
SELECT organization.id, array_agg(setting.flag_id)
  FROM orgs_organization organization, LATERAL (
       SELECT flag_id FROM flags_flagsetting WHERE organization_id = organization.parent_id AND only_here
       OFFSET 0) setting
 WHERE organization.id = ANY(%s) GROUP BY organization.id ORDER BY organization.id
"""


def _write_where_parents_differ(created_ids: list[int]) -> None:
    """Write the flags whose values count only for the parents of created organizations."""
    with connection.cursor() as cursor:
        cursor.execute(ONLY_ON_PARENTS, [created_ids])
        found = cursor.fetchall()
    for organization_id, flag_ids in found:
        subtree = load_subtree(organization_id)
        if subtree is not None:
            _write_decided(subtree, flag_ids)


MEMBERS = f"""
SELECT top.id, organization.id
  FROM orgs_organization top JOIN orgs_organization organization ON {is_at_or_below("organization", "top")}
 WHERE top.id = ANY(%s)
"""  # noqa: S608 - no input in it
MOVES_AT_ONCE = 1_000
"""Small moved subtrees whose flag states are written together, so that an import may move thousands."""


def _write_moved(placements: list[Placement]) -> list[int]:
    """Write what the settings decide for moved organizations and below; returns the ids of created jobs."""
    if not placements:
        return []
    number = _number_of_moves()
    moves = [(placement.organization_id, placement.former_ancestor_ids or ()) for placement in placements]
    for placement in placements:
        placement.change_numbers.append(number)
        if placement.keeps_values:
            _keep_values(placement, number=number)
    flags_of: dict[int, set[int]] = {}
    for organization_id, flag_id in flag_settings.record_moves(moves, number=number):
        flags_of.setdefault(organization_id, set()).add(flag_id)
    small: list[int] = []
    jobs: list[int] = []
    for subtree in load_subtrees(flags_of):
        top_id, flag_ids = subtree.organization_id, flags_of[subtree.organization_id]
        if subtree.size * len(flag_ids) > settings.FLAGS_INLINE_ROWS:
            tops = decided_on_paths([top_id], list(flag_ids))
            jobs.append(_start_job(top_id, list(tops.values()), total=subtree.size))
        else:
            small.append(top_id)
    for start in range(0, len(small), MOVES_AT_ONCE):
        tops_at_once = small[start : start + MOVES_AT_ONCE]
        _write_small({top_id: flags_of[top_id] for top_id in tops_at_once})
    return jobs


def _number_of_moves() -> int:
    """Return the number that history has given to the moves of this transaction (`flags.history.models`)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT flags_take_number_of_moves()")
        return int(cursor.fetchone()[0])


def _keep_values(placement: Placement, *, number: int) -> None:
    """Make the values that a moved organization had before settings of its own, where it would get others."""
    kept = kept_by_move(
        placement.organization_id,
        former_ancestor_ids=placement.former_ancestor_ids or (),
        parent_id=placement.parent_id,
    )
    flag_settings.record_kept([each.setting for each in kept], number=number)
    placement.kept.extend(KeptValue(each.flag.key, bool(each.setting.enabled), each.counts) for each in kept)


def _write_small(flags_of: Mapping[int, set[int]]) -> None:
    """Write the flag states of small moved subtrees. `flags_of` has the flags by the id of the top."""
    with connection.cursor() as cursor:
        cursor.execute(MEMBERS, [list(flags_of)])
        top_of: dict[int, set[int]] = {}
        for top_id, organization_id in cursor.fetchall():  # one moved subtree may be in another one
            top_of.setdefault(organization_id, set()).add(top_id)
    decided = decided_on_paths(list(top_of), list(set().union(*flags_of.values())))
    values = {
        (organization_id, flag_id): value
        for (organization_id, flag_id), value in sorted(decided.items())
        if any(flag_id in flags_of[top_id] for top_id in top_of[organization_id])
    }
    if values:
        write_values(values)
    _record_all({place: value for place, value in values.items() if place[1] in flags_of.get(place[0], ())})


def _write_decided(subtree: Subtree, flag_ids: Sequence[int]) -> None:
    """Write what the settings decide about flags in a subtree."""
    everybody = Span(0, MAX_ID, subtree.size)
    pieces = pieces_of_subtree(subtree, flag_ids)
    for flag_id in sorted(flag_ids):
        sql.write_decided(subtree, everybody, pieces[flag_id], job_id=None)


def _values_of(organization_id: int) -> dict[int, DecidedValue]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT flag_id, state.enabled, source_id, change_number, FALSE, variant
              FROM flags_flagstate state JOIN flags_flag flag ON flag.id = flag_id AND NOT purging
             WHERE organization_id = %s
            """,
            [organization_id],
        )
        return {row[0]: DecidedValue(*row) for row in cursor.fetchall()}


def _start_job(
    organization_id: int, values: Sequence[DecidedValue], *, total: int | None = None, after: int = 0
) -> int:
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


# As one statement: an import may move thousands of organizations, each with many flags.
RECORD_CHANGES = """
INSERT INTO flags_change (number, flag_id, organization_id, kind, enabled, source_id, variant, job_id, requested_by)
SELECT number, flag_id, organization_id, %(kind)s, enabled, source_id, variant, %(job)s, %(by)s
  FROM unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(enabled)s::boolean[], %(sources)s::bigint[],
              %(numbers)s::bigint[], %(variants)s::integer[])
           AS given(organization_id, flag_id, enabled, source_id, number, variant)
"""


def _record(organization_id: int, values: Sequence[DecidedValue], *, job_id: int | None) -> None:
    _record_all({(organization_id, value.flag_id): value for value in values}, job_id=job_id)


def _record_all(values: Mapping[tuple[int, int], DecidedValue], *, job_id: int | None = None) -> None:
    """Record values that organizations got by a move or a creation as changes. They are by organization and flag."""
    parameters: dict[str, Any] = {
        "organizations": [organization_id for organization_id, _ in values],
        "flags": [flag_id for _, flag_id in values],
        "enabled": [value.enabled for value in values.values()],
        "sources": [value.source_id for value in values.values()],
        "numbers": [value.number for value in values.values()],
        "variants": [value.variant for value in values.values()],
        "kind": MOVE,
        "job": job_id,
        "by": actor.current().actor[:200],
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD_CHANGES, parameters)
