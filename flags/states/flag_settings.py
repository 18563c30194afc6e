"""Recording settings: every door that decides about a flag on an organization ends here, in its own transaction.

Settings of one flag in one tree are written by one transaction at a time, or by several that set the flag on different
organizations without children: `flags.states.set_flag` locks the settings of the flag in the tree so, and a move has
the tree lock exclusively. So the setting with the higher number is always the one that was recorded later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from flags.states.models import Change
from flags.states.setting_rules import NONE, PlacedSetting
from flags.values.variants import BY_ENABLED
from flagsite.core import actor
from orgs.tree.paths import PATH, path_parameters
from orgs.tree.subtrees import Subtree, is_in_subtree

COLUMNS = """organization_id, flag_id, number, kept_from_id, exempt_from_id, created_at, expires_at, exempt_until, kind,
       enabled, only_here, requested_by, reason, variant"""
REPLACE = """
    ON CONFLICT (organization_id, flag_id) DO UPDATE
   SET number = EXCLUDED.number, decision = EXCLUDED.decision, kept_from_id = NULL, created_at = EXCLUDED.created_at,
       expires_at = EXCLUDED.expires_at, kind = EXCLUDED.kind, enabled = EXCLUDED.enabled,
       variant = EXCLUDED.variant, only_here = EXCLUDED.only_here, requested_by = EXCLUDED.requested_by,
       reason = EXCLUDED.reason
"""
# Few flags have locks, so the path is seldom walked.
IS_UNDER_A_LOCK = f"""
CASE WHEN EXISTS (SELECT FROM flags_flagsetting WHERE flag_id = %(flag)s AND kind = 'lock')  -- index lock_of_flag
     THEN EXISTS (
          WITH RECURSIVE {PATH}
          SELECT FROM path, LATERAL (
                 SELECT kind FROM flags_flagsetting
                  WHERE organization_id = path.id AND flag_id = %(flag)s OFFSET 0) setting
           WHERE path.distance > 0 AND setting.kind = 'lock')
     ELSE FALSE END
"""  # noqa: S608 - no input in it
RECORDED = f"""
recorded AS (
    INSERT INTO flags_flagsetting AS setting ({COLUMNS}, decision)
    SELECT %(organization)s, %(flag)s, %(number)s, NULL, NULL, clock_timestamp(), %(expires_at)s, NULL, %(kind)s,
           %(enabled)s::boolean, %(only_here)s, %(by)s, %(reason)s, %(variant)s, %(number)s
     WHERE NOT %(respects_locks)s OR NOT {IS_UNDER_A_LOCK}
    {REPLACE}
    RETURNING TRUE)
"""
RECORD = f"WITH {RECORDED} SELECT EXISTS (SELECT FROM recorded), 0"  # noqa: S608 - no input in it
LOCKS_THAT_END = "ARRAY(SELECT organization_id FROM ended UNION ALL SELECT %(organization)s)"
# From the settings of a flag to their organizations, by primary key: a subtree may have a thousand times as many. The
# statistics may promise a single setting where there are ten thousand, so nothing but LATERAL is a nested loop.
RECORD_AND_END_BELOW = f"""
SET LOCAL enable_nestloop = off;
WITH {RECORDED},
below AS MATERIALIZED (
    SELECT live.organization_id, live.flag_id
      FROM (SELECT organization_id, flag_id FROM flags_flagsetting setting  -- index setting_of_flag
             WHERE setting.flag_id = %(flag)s AND kind <> 'none'
               AND organization_id <> %(organization)s AND EXISTS (SELECT FROM recorded) OFFSET 0) live, LATERAL (
           SELECT FROM (SELECT * FROM orgs_organization WHERE id = live.organization_id OFFSET 0) organization
            WHERE {is_in_subtree("organization")}) place
     ORDER BY 1, 2),
ended AS (
    SELECT below.organization_id, below.flag_id FROM below, LATERAL (
           SELECT FROM flags_flagsetting
            WHERE organization_id = below.organization_id AND flag_id = below.flag_id FOR UPDATE OFFSET 0) setting),
ended_now AS (
    UPDATE flags_flagsetting setting
       SET number = %(number)s, decision = %(number)s, kept_from_id = NULL, created_at = clock_timestamp(),
           expires_at = NULL, kind = 'none', enabled = NULL, variant = 0, only_here = FALSE, requested_by = %(by)s,
           reason = %(reason)s,
           exempt_from_id = CASE WHEN NOT exempt_from_id = ANY({LOCKS_THAT_END}) THEN exempt_from_id END,
           exempt_until = CASE WHEN NOT exempt_from_id = ANY({LOCKS_THAT_END}) THEN exempt_until END
      FROM ended WHERE setting.organization_id = ended.organization_id AND setting.flag_id = %(flag)s
    RETURNING TRUE),
no_longer_exempt AS (  -- index exemption_from_lock
    UPDATE flags_flagsetting setting SET exempt_from_id = NULL, exempt_until = NULL
     WHERE setting.flag_id = %(flag)s AND exempt_from_id IS NOT NULL AND exempt_from_id = ANY({LOCKS_THAT_END})
       AND NOT organization_id = ANY(ARRAY(SELECT organization_id FROM ended)))
SELECT EXISTS (SELECT FROM recorded), (SELECT count(*) FROM ended_now);
SET LOCAL enable_nestloop TO DEFAULT;
"""  # noqa: S608 - no input in it
END_EXEMPTIONS = """
UPDATE flags_flagsetting SET exempt_from_id = NULL, exempt_until = NULL  -- index exemption_from_lock
 WHERE flag_id = %(flag)s AND exempt_from_id IS NOT NULL AND exempt_from_id = ANY(%(organizations)s)
"""
RECORD_EXEMPTION = f"""
INSERT INTO flags_flagsetting AS setting ({COLUMNS})
VALUES (%(organization)s, %(flag)s, %(number)s, NULL, %(exempt_from)s, clock_timestamp(), NULL, %(until)s, 'none',
        NULL, FALSE, %(by)s, %(reason)s, 0)
    ON CONFLICT (organization_id, flag_id) DO UPDATE
   SET number = EXCLUDED.number, exempt_from_id = EXCLUDED.exempt_from_id, exempt_until = EXCLUDED.exempt_until
"""  # noqa: S608 - no input in it
# A move gives numbers to the settings of what it moves, so that they are the highest on the paths below. It does so for
# each flag that somebody has decided about above the former or the new place.
RECORD_MOVES = f"""
WITH RECURSIVE {PATH},
decided AS (
    SELECT DISTINCT place.moved_id, setting.flag_id
      FROM (SELECT bottom_id AS moved_id, id FROM path WHERE distance > 0
             UNION
            SELECT * FROM unnest(%(moved_ids)s::bigint[], %(former_ids)s::bigint[])) place (moved_id, id), LATERAL (
           SELECT flag_id FROM flags_flagsetting WHERE organization_id = place.id OFFSET 0) setting
      JOIN flags_flag flag ON flag.id = setting.flag_id AND NOT flag.purging)
INSERT INTO flags_flagsetting AS setting ({COLUMNS})
SELECT moved_id, flag_id, %(number)s, NULL, NULL, clock_timestamp(), NULL, NULL, 'none', NULL, FALSE, %(by)s,
       %(reason)s, 0
  FROM decided ORDER BY moved_id, flag_id
    ON CONFLICT (organization_id, flag_id) DO UPDATE SET number = EXCLUDED.number
RETURNING organization_id, flag_id
"""  # noqa: S608 - no input in it

RECORD_KEPT = f"""
INSERT INTO flags_flagsetting AS setting ({COLUMNS}, decision)
SELECT organization_id, flag_id, %(number)s, NULL, NULL, clock_timestamp(), NULL, NULL, kind, enabled, FALSE, %(by)s,
       %(reason)s, variant, %(number)s
  FROM unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(kinds)s::text[], %(enabled)s::boolean[],
              %(variants)s::integer[])
    AS kept (organization_id, flag_id, kind, enabled, variant) ORDER BY 1, 2
{REPLACE}
"""  # noqa: S608 - no input in it


def record(
    subtree: Subtree,
    change: Change,
    *,
    reason: str,
    ends_below: bool,
    respects_locks: bool = True,
    only_here: bool = False,
    expires_at: datetime | None = None,
) -> int | None:
    """Record what a change decides about a flag on the top of a subtree.

    With `ends_below`, all settings of the flag below end, because the change overwrites them. Returns their number.
    Returns None, and records nothing, if there is a lock above and `respects_locks` is true.
    """
    parameters: dict[str, Any] = {
        "organization": change.organization_id,
        "flag": change.flag_id,
        "number": change.number,
        "kind": change.kind,
        "enabled": None if change.kind == NONE else change.enabled,
        "variant": BY_ENABLED if change.kind == NONE else change.variant,
        "only_here": only_here,
        "expires_at": expires_at,
        "respects_locks": respects_locks,
        "by": change.requested_by,
        "reason": reason or actor.current().reason,
        **path_parameters([subtree.organization_id]),
        **subtree.parameters(),
    }
    statement = RECORD_AND_END_BELOW if ends_below and subtree.descendant_count else RECORD
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        skip_to_rows(cursor)
        is_recorded, ended = cursor.fetchone()
    return int(ended) if is_recorded else None


def skip_to_rows(cursor: Any) -> None:
    """Go on to the first of several statements that has rows: before it, the planner was told what to do."""
    while cursor.description is None and cursor.nextset():
        pass


def end_exemptions_from(organization_ids: Sequence[int], flag_id: int) -> None:
    """End the exemptions from the locks of organizations, because the locks are gone."""
    with connection.cursor() as cursor:
        cursor.execute(END_EXEMPTIONS, {"flag": flag_id, "organizations": list(organization_ids)})


def record_exemption(change: Change, *, exempt_from: int | None, until: datetime | None, reason: str) -> None:
    """Record that an organization is exempt from the lock of another one, or no longer if `exempt_from` is None."""
    parameters: dict[str, Any] = {
        "organization": change.organization_id, "flag": change.flag_id, "number": change.number,
        "exempt_from": exempt_from, "until": until, "by": change.requested_by,
        "reason": reason or actor.current().reason,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RECORD_EXEMPTION, parameters)


def record_kept(kept: Sequence[PlacedSetting], *, number: int) -> None:
    """Record values that organizations keep in a move as settings of their own, under the number of the move."""
    parameters: dict[str, Any] = {
        "organizations": [each.organization_id for each in kept],
        "flags": [each.flag_id for each in kept],
        "kinds": [each.kind for each in kept],
        "enabled": [each.enabled for each in kept],
        "variants": [each.variant for each in kept],
        "number": number,
        "by": actor.current().actor[:200],
        "reason": actor.current().reason,
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD_KEPT, parameters)


def record_moves(moves: Sequence[tuple[int, Sequence[int]]], *, number: int) -> list[tuple[int, int]]:
    """Give the settings of moved organizations the number of their move.

    `moves` has the moved organizations, each with the ids that were above it. Returns the organizations with the flags
    whose values below them may change: those that somebody has decided about at the former or the new place above.
    """
    above = [(moved_id, former_id) for moved_id, former_ids in moves for former_id in former_ids]
    parameters: dict[str, Any] = {
        "number": number,
        "moved_ids": [moved_id for moved_id, _ in above],
        "former_ids": [former_id for _, former_id in above],
        "by": actor.current().actor[:200],
        "reason": actor.current().reason,
        **path_parameters([moved_id for moved_id, _ in moves]),
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD_MOVES, parameters)
        return [(organization_id, flag_id) for organization_id, flag_id in cursor.fetchall()]
