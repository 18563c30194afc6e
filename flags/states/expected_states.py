"""What flag states have to be, as the recorded changes say, and the statements that compare and mend them.

The value of a flag for an organization is that of the newest change on the organization or above it. A move records
changes too, also for the values that the moved organization keeps (`flags.states.inheritance`). So the present tree and
the changes decide, with two exceptions, about which Flagsite does not guess:

- A change that has not reached its whole subtree, because its propagation waits, runs, failed or was cancelled. A flag
  state may then have this change or an older one.
- A flag state with a newer change that was made elsewhere. Earlier versions of Flagsite did not record every value that
  a moved organization kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.evaluation.engine import StateValue
from flags.states.models import IS_COMPLETE
from orgs.tree.subtrees import Subtree, is_in_subtree

NEXT_IDS = f"""
SELECT id FROM orgs_organization WHERE id > %(after)s AND {is_in_subtree()} ORDER BY id LIMIT %(most)s
"""  # noqa: S608 - no input in it
NEWEST = """
        SELECT {columns} FROM flags_change change  -- index change_on_organization
         WHERE change.organization_id = place.at AND change.flag_id = place.flag_id AND {condition}
         ORDER BY number DESC LIMIT 1"""
NEWEST_COMPLETE = NEWEST.format(columns="number, enabled, source_id", condition=IS_COMPLETE)
NEWEST_OPEN = NEWEST.format(columns="number", condition=f"NOT {IS_COMPLETE}")
DIFFERENCES = f"""
WITH RECURSIVE up AS (
    SELECT id AS organization_id, id AS at, parent_id FROM orgs_organization WHERE id = ANY(%(ids)s)
     UNION ALL
    SELECT up.organization_id, parent.id, parent.parent_id
      FROM up JOIN orgs_organization parent ON parent.id = up.parent_id),
path AS MATERIALIZED (SELECT organization_id, array_agg(at) AS ids FROM up GROUP BY organization_id),
place AS MATERIALIZED (
    SELECT place.at, place.flag_id, complete.number, complete.enabled, complete.source_id, open.number AS open_number
      FROM (SELECT at, flag_id
              FROM (SELECT DISTINCT at FROM up) at CROSS JOIN unnest(%(flags)s::bigint[]) flag_id) place
      LEFT JOIN LATERAL (
        {NEWEST_COMPLETE}) complete ON TRUE
      LEFT JOIN LATERAL (
        {NEWEST_OPEN}) open ON TRUE
     WHERE complete.number IS NOT NULL OR open.number IS NOT NULL),
expected AS MATERIALIZED (
    SELECT DISTINCT ON (up.organization_id, place.flag_id)
           up.organization_id, place.flag_id, place.number, place.enabled, place.source_id,
           max(place.open_number) OVER (PARTITION BY up.organization_id, place.flag_id) AS open_number
      FROM up JOIN place ON place.at = up.at
     ORDER BY up.organization_id, place.flag_id, place.number DESC NULLS LAST),
stored AS (
    SELECT organization_id, flag_id, enabled, source_id, change_number AS number FROM flags_flagstate
     WHERE organization_id = ANY(%(ids)s) AND flag_id = ANY(%(flags)s))
SELECT organization_id, flag_id, stored.enabled, stored.source_id, stored.number,
       expected.enabled, expected.source_id, expected.number,
       CASE WHEN expected.open_number >= COALESCE(expected.number, 0) THEN 'open'
            WHEN stored.number > COALESCE(expected.number, 0) AND EXISTS (  -- index change_of_flag
                 SELECT FROM flags_change change
                  WHERE change.flag_id = stored.flag_id AND change.number = stored.number
                    AND change.enabled = stored.enabled AND change.source_id = stored.source_id) THEN 'moved'
            ELSE '' END
  FROM stored FULL JOIN expected USING (organization_id, flag_id)
  LEFT JOIN path USING (organization_id)
 WHERE (stored.number, stored.enabled, stored.source_id)
       IS DISTINCT FROM (expected.number, expected.enabled, expected.source_id)
   AND NOT (stored.number IS NOT NULL AND stored.number >= COALESCE(expected.number, 0) AND EXISTS (
        SELECT FROM flags_change change
         WHERE change.flag_id = stored.flag_id AND change.number = stored.number
           AND change.enabled = stored.enabled AND change.source_id = stored.source_id
           AND change.organization_id = ANY(path.ids)))
 ORDER BY organization_id, flag_id
"""  # noqa: S608 - no input in it
LOCK = """
SELECT count(*) FROM (
    SELECT FROM flags_flagstate state
      JOIN unnest(%(organizations)s::bigint[], %(flags)s::bigint[]) AS given(organization_id, flag_id)
     USING (organization_id, flag_id) ORDER BY organization_id, flag_id FOR UPDATE OF state) locked
"""
GIVEN = """
unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(enabled)s::boolean[], %(sources)s::bigint[],
       %(numbers)s::bigint[], %(old_numbers)s::bigint[])
    AS given(organization_id, flag_id, enabled, source_id, number, old_number)
"""
UPDATE = f"""
UPDATE flags_flagstate state
   SET enabled = given.enabled, source_id = given.source_id, change_number = given.number, job_id = %(job)s,
       updated_at = statement_timestamp()
  FROM {GIVEN}
 WHERE state.organization_id = given.organization_id AND state.flag_id = given.flag_id
   AND state.change_number = given.old_number AND given.number IS NOT NULL
"""  # noqa: S608 - no input in it
INSERT = f"""
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, job_id, updated_at)
SELECT given.organization_id, given.flag_id, given.enabled, given.source_id, given.number, %(job)s,
       statement_timestamp()
  FROM {GIVEN} JOIN flags_flag flag ON flag.id = given.flag_id AND NOT flag.purging
 WHERE given.old_number IS NULL
 ORDER BY given.organization_id, given.flag_id
    ON CONFLICT (organization_id, flag_id) DO NOTHING
"""  # noqa: S608 - no input in it
DELETE = f"""
DELETE FROM flags_flagstate state USING {GIVEN}
 WHERE state.organization_id = given.organization_id AND state.flag_id = given.flag_id
   AND state.change_number = given.old_number AND given.number IS NULL
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Difference:
    """A flag state that is not what the changes say.

    `stored` is None if there is no flag state, and `expected` is None if there must not be one.

    `undecided` tells why the changes do not decide (`open` or `moved`); it is empty if they do.
    """

    organization_id: int
    flag_id: int
    stored: StateValue | None
    expected: StateValue | None
    undecided: str = ""

    @property
    def kind(self) -> str:
        """How the flag state differs."""
        if self.undecided:
            return "undecided"
        if self.stored is None:
            return "missing"
        return "extra" if self.expected is None else "wrong"


def next_ids(subtree: Subtree, *, after: int, most: int) -> list[int]:
    """Return the ids of the next organizations of the subtree."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_IDS, {"after": after, "most": most, **subtree.parameters()})
        return [row[0] for row in cursor.fetchall()]


def differences(organization_ids: Sequence[int], flag_ids: Sequence[int]) -> list[Difference]:
    """Compare the flag states of organizations and flags with the changes, in the order of the primary key."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES, {"ids": list(organization_ids), "flags": list(flag_ids)})
        return [
            Difference(row[0], row[1], _value(row[1], row[2:5]), _value(row[1], row[5:8]), row[8])
            for row in cursor.fetchall()
        ]


def mend(found: Sequence[Difference], *, job_id: int) -> int:
    """Write what the changes say, and return the number of written rows; the caller's transaction has begun a chunk.

    A row that somebody has changed since the comparison stays. The change numbers are those of the changes.
    """
    decided = [difference for difference in found if not difference.undecided]
    if not decided:
        return 0
    wanted = [difference.expected for difference in decided]
    parameters: dict[str, Any] = {
        "organizations": [difference.organization_id for difference in decided],
        "flags": [difference.flag_id for difference in decided],
        "enabled": [value and value.enabled for value in wanted],
        "sources": [value and value.source_id for value in wanted],
        "numbers": [value and value.number for value in wanted],
        "old_numbers": [difference.stored and difference.stored.number for difference in decided],
        "job": job_id,
    }
    written = 0
    with connection.cursor() as cursor:
        cursor.execute(LOCK, parameters)
        for statement in (UPDATE, INSERT, DELETE):
            cursor.execute(statement, parameters)
            written += cursor.rowcount
    return written


def _value(flag_id: int, columns: tuple[Any, ...]) -> StateValue | None:
    enabled, source_id, number = columns
    return None if number is None else StateValue(flag_id, enabled, source_id, number)
