"""Recording settings: every door that decides about a flag on an organization ends here, in its own transaction.

Settings of one flag in one tree are written by one transaction at a time, or by several that set the flag on
organizations without children: `flags.states.set_flag` locks the settings of the flag in the tree so, and a move has
the tree lock exclusively. So the setting with the higher number is always the one that was recorded later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from flags.evaluation.engine import StateValue
from flags.states.models import Change
from flagsite.core import actor
from orgs.tree.paths import PATH, path_parameters
from orgs.tree.subtrees import Subtree, is_in_subtree

COLUMNS = "organization_id, flag_id, number, kept_from_id, created_at, kind, enabled, requested_by, reason"
REPLACE = """
    ON CONFLICT (organization_id, flag_id) DO UPDATE
   SET number = EXCLUDED.number, kept_from_id = EXCLUDED.kept_from_id, created_at = EXCLUDED.created_at,
       kind = EXCLUDED.kind, enabled = EXCLUDED.enabled, requested_by = EXCLUDED.requested_by, reason = EXCLUDED.reason
"""
RECORD_ON_LEAF = f"""
INSERT INTO flags_flagsetting ({COLUMNS})
VALUES (%(organization)s, %(flag)s, %(number)s, NULL, now(), 'set', %(enabled)s, %(by)s, %(reason)s)
{REPLACE}
"""  # noqa: S608 - no input in it
# From the settings of a flag to their organizations, by primary key: a subtree may have a thousand times as many.
END_BELOW = f"""
below AS MATERIALIZED (
    SELECT live.organization_id, live.flag_id, value.number
      FROM unnest(%(flags)s::bigint[], %(numbers)s::bigint[]) AS value(flag_id, number), LATERAL (
           SELECT organization_id, flag_id FROM flags_flagsetting setting  -- index setting_of_flag
            WHERE setting.flag_id = value.flag_id AND kind <> 'none' AND setting.number < value.number
              AND organization_id <> %(organization)s OFFSET 0) live, LATERAL (
           SELECT FROM orgs_organization organization
            WHERE organization.id = live.organization_id AND {is_in_subtree("organization")} OFFSET 0) place),
ended AS (
    SELECT organization_id, flag_id, below.number
      FROM flags_flagsetting setting JOIN below USING (organization_id, flag_id)
     ORDER BY organization_id, flag_id FOR UPDATE OF setting),
ended_now AS (
    UPDATE flags_flagsetting setting
       SET number = ended.number, kept_from_id = NULL, created_at = now(), kind = 'none', enabled = NULL,
           requested_by = %(by)s, reason = %(reason)s
      FROM ended WHERE setting.organization_id = ended.organization_id AND setting.flag_id = ended.flag_id)
"""  # noqa: S608 - no input in it
RECORD_ON_PARENT = f"WITH {END_BELOW} {RECORD_ON_LEAF}"
NEAREST_SETTINGS = """
nearest AS (
    SELECT DISTINCT ON (setting.flag_id) setting.flag_id, setting.enabled,
           COALESCE(setting.kept_from_id, setting.organization_id) AS source_id
      FROM path, LATERAL (
           SELECT * FROM flags_flagsetting WHERE organization_id = path.id AND kind = 'set' OFFSET 0) setting
     WHERE path.distance >= %(from_distance)s
     ORDER BY setting.flag_id, path.distance)
"""
RECORD_MOVE = f"""
WITH RECURSIVE {PATH}, {NEAREST_SETTINGS}, {END_BELOW}
INSERT INTO flags_flagsetting AS setting ({COLUMNS})
SELECT %(organization)s, value.flag_id, value.number,
       CASE WHEN NOT value.inherited THEN NULLIF(value.source_id, %(organization)s) END, now(),
       CASE WHEN value.inherited THEN 'none' ELSE 'set' END,
       CASE WHEN NOT value.inherited THEN value.enabled END, %(by)s, %(reason)s
  FROM (SELECT given.*, (given.enabled, given.source_id)
                        IS NOT DISTINCT FROM (nearest.enabled, nearest.source_id) AS inherited
          FROM unnest(%(flags)s::bigint[], %(enabled)s::boolean[], %(sources)s::bigint[], %(numbers)s::bigint[])
                    AS given(flag_id, enabled, source_id, number)
          LEFT JOIN nearest USING (flag_id)) value
 ORDER BY value.flag_id
{REPLACE} WHERE setting.number <= EXCLUDED.number
"""  # noqa: S608 - no input in it
KEEPS_SOMETHING = """
SELECT EXISTS (
    SELECT FROM flags_flagstate WHERE organization_id = %(organization)s AND flag_id <> ALL(%(flags)s))
"""
KEEP = f"""
WITH RECURSIVE {PATH}, {NEAREST_SETTINGS}
INSERT INTO flags_flagsetting AS setting ({COLUMNS})
SELECT state.organization_id, state.flag_id, state.change_number, NULLIF(state.source_id, state.organization_id), now(),
       'set', state.enabled, %(by)s, %(reason)s
  FROM flags_flagstate state JOIN flags_flag flag ON flag.id = state.flag_id AND NOT flag.purging
  LEFT JOIN nearest USING (flag_id)
 WHERE state.organization_id = %(organization)s AND state.flag_id <> ALL(%(flags)s)
   AND (state.enabled, state.source_id) IS DISTINCT FROM (nearest.enabled, nearest.source_id)
 ORDER BY state.flag_id
{REPLACE} WHERE setting.number <= EXCLUDED.number OR setting.kind = 'none'
"""  # noqa: S608 - no input in it


def record_set(subtree: Subtree, change: Change, *, reason: str) -> None:
    """Record that somebody has set a flag on the top of a subtree. All settings of the flag below end."""
    parameters: dict[str, Any] = {
        "organization": change.organization_id, "flag": change.flag_id, "number": change.number,
        "enabled": change.enabled, "by": change.requested_by, "reason": reason or actor.current().reason,
        "flags": [change.flag_id], "numbers": [change.number], **subtree.parameters(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RECORD_ON_PARENT if subtree.descendant_count else RECORD_ON_LEAF, parameters)


def record_move(subtree: Subtree, values: Sequence[StateValue]) -> None:
    """Record the values that a move gives to a subtree. The settings of these flags below its top end.

    The top gets a setting for each flag. It has the kind `none` if the value is that of the nearest setting above.
    """
    if not values:
        return
    parameters = _of_move(subtree.organization_id, values)
    with connection.cursor() as cursor:
        cursor.execute(RECORD_MOVE, parameters | subtree.parameters() | {"from_distance": 1})


def record_kept(organization_id: int, values: Sequence[StateValue]) -> None:
    """Record the values that a moved organization keeps, and that no setting on its new path says.

    `values` are those that the move has given to it: it keeps the values of all other flags.
    """
    parameters = _of_move(organization_id, values)
    with connection.cursor() as cursor:
        cursor.execute(KEEPS_SOMETHING, parameters)
        if cursor.fetchone()[0]:  # otherwise nobody has to walk up a path that may be long
            cursor.execute(KEEP, parameters | {"from_distance": 0})


def _of_move(organization_id: int, values: Sequence[StateValue]) -> dict[str, Any]:
    return {
        "organization": organization_id,
        "flags": [value.flag_id for value in values],
        "enabled": [value.enabled for value in values],
        "sources": [value.source_id for value in values],
        "numbers": [value.number for value in values],
        "by": actor.current().actor[:200],
        "reason": actor.current().reason,
        **path_parameters([organization_id]),
    }
