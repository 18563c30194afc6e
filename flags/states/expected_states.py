"""What flag states have to be, as the settings say, and the statements that compare and mend them.

The value of a flag for an organization is that of the nearest setting, on the organization or above it; the change
number is the highest one of the settings on the path (`flags.states.models.FlagSetting`). So the present tree and the
settings decide, with two exceptions, about which Flagsite does not guess:

- A change that has not reached its whole subtree, because its propagation waits, runs, failed or was cancelled. A flag
  state may then have this change or an older one.
- A flag state that changes made elsewhere decide. Earlier versions of Flagsite did not record every value that a moved
  organization kept. And a moved organization may have settings that a cancelled change has ended.
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
IS_CHANGE_OF_ROW = """
                  change.flag_id = stored.flag_id AND change.number = stored.number
              AND change.enabled = stored.enabled AND change.source_id = stored.source_id"""
DIFFERENCES = f"""
WITH RECURSIVE up AS (
    SELECT id AS organization_id, id AS at, parent_id, 0 AS distance FROM orgs_organization WHERE id = ANY(%(ids)s)
     UNION ALL
    SELECT up.organization_id, parent.id, parent.parent_id, up.distance + 1
      FROM up JOIN orgs_organization parent ON parent.id = up.parent_id),
path AS MATERIALIZED (SELECT organization_id, array_agg(at) AS ids FROM up GROUP BY organization_id),
place AS MATERIALIZED (  -- what was decided at each organization on a path
    SELECT place.at, place.flag_id, setting.number, setting.kind = 'set' AS is_set, setting.enabled,
           COALESCE(setting.kept_from_id, setting.organization_id) AS source_id,
           complete.number AS complete_number, complete.enabled AS complete_enabled,
           complete.source_id AS complete_source_id, open.number AS open_number
      FROM (SELECT at, flag_id
              FROM (SELECT DISTINCT at FROM up) at CROSS JOIN unnest(%(flags)s::bigint[]) flag_id) place
      LEFT JOIN flags_flagsetting setting ON setting.organization_id = place.at AND setting.flag_id = place.flag_id
      LEFT JOIN LATERAL (
        {NEWEST_COMPLETE}) complete ON TRUE
      LEFT JOIN LATERAL (
        {NEWEST_OPEN}) open ON TRUE
     WHERE setting.number IS NOT NULL OR complete.number IS NOT NULL OR open.number IS NOT NULL),
decided AS MATERIALIZED (
    SELECT up.organization_id, place.flag_id, max(place.number) AS number, max(place.open_number) AS open_number,
           (array_agg(place.enabled ORDER BY up.distance) FILTER (WHERE place.is_set))[1] AS enabled,
           (array_agg(place.source_id ORDER BY up.distance) FILTER (WHERE place.is_set))[1] AS source_id,
           max(place.complete_number) AS complete_number,
           (array_agg(place.complete_enabled ORDER BY place.complete_number DESC NULLS LAST))[1] AS complete_enabled,
           (array_agg(place.complete_source_id ORDER BY place.complete_number DESC NULLS LAST))[1]
               AS complete_source_id
      FROM up JOIN place ON place.at = up.at
     GROUP BY up.organization_id, place.flag_id),
expected AS MATERIALIZED (
    SELECT *, CASE WHEN enabled IS NOT NULL THEN number END AS value_number,
           open_number IS NOT NULL AND open_number >= COALESCE(number, 0) AS is_open
      FROM decided),
stored AS (
    SELECT organization_id, flag_id, enabled, source_id, change_number AS number FROM flags_flagstate
     WHERE organization_id = ANY(%(ids)s) AND flag_id = ANY(%(flags)s))
SELECT organization_id, flag_id, stored.enabled, stored.source_id, stored.number,
       expected.enabled, expected.source_id, expected.value_number,
       CASE WHEN expected.is_open THEN 'open'
            WHEN stored.number > COALESCE(expected.number, 0) AND EXISTS (  -- index change_of_flag
                 SELECT FROM flags_change change
                  WHERE {IS_CHANGE_OF_ROW}) THEN 'moved'
            WHEN stored.number < expected.number AND NOT EXISTS (
                 SELECT FROM flags_change change
                  WHERE change.organization_id = ANY(path.ids) AND change.flag_id = expected.flag_id
                    AND change.number = expected.number) THEN 'moved'
            ELSE '' END
  FROM stored FULL JOIN expected USING (organization_id, flag_id)
  LEFT JOIN path USING (organization_id)
 WHERE (stored.number, stored.enabled, stored.source_id)
       IS DISTINCT FROM (expected.value_number, expected.enabled, expected.source_id)
   AND NOT (COALESCE(expected.is_open, FALSE) AND (
        (stored.number, stored.enabled, stored.source_id) IS NOT DISTINCT FROM
        (expected.complete_number, expected.complete_enabled, expected.complete_source_id)
        OR stored.number >= COALESCE(expected.complete_number, 0) AND EXISTS (
            SELECT FROM flags_change change
             WHERE {IS_CHANGE_OF_ROW}
              AND change.organization_id = ANY(path.ids))))
 ORDER BY organization_id, flag_id
"""  # noqa: S608 - no input in it
SAMPLE = """
WITH start AS MATERIALIZED (SELECT random() * max(id) AS id FROM orgs_organization)
SELECT ARRAY(
    SELECT id FROM (
        (SELECT id FROM orgs_organization WHERE id >= (SELECT id FROM start) ORDER BY id LIMIT %(most)s)
         UNION ALL
        (SELECT id FROM orgs_organization WHERE id < (SELECT id FROM start) ORDER BY id LIMIT %(most)s)) near
     LIMIT %(most)s),
       ARRAY(SELECT id FROM flags_flag WHERE NOT purging ORDER BY random() LIMIT %(most_flags)s)
"""
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
    """A flag state that is not what the settings say.

    `stored` is None if there is no flag state, and `expected` is None if there must not be one.

    `undecided` tells why the settings do not decide (`open` or `moved`); it is empty if they do.
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
    """Compare the flag states of organizations and flags with the settings, in the order of the primary key."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES, {"ids": list(organization_ids), "flags": list(flag_ids)})
        return [
            Difference(row[0], row[1], _value(row[1], row[2:5]), _value(row[1], row[5:8]), row[8])
            for row in cursor.fetchall()
        ]


def sample(*, organizations: int, flags: int) -> tuple[int, list[Difference]]:
    """Compare the flag states of some organizations and flags, chosen at random; return their number, and what differs.

    Flag states that nobody can decide are no difference here.
    """
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, {"most": organizations, "most_flags": flags})
        organization_ids, flag_ids = cursor.fetchone()
    found = differences(organization_ids, flag_ids)
    return len(organization_ids) * len(flag_ids), [each for each in found if not each.undecided]


def mend(found: Sequence[Difference], *, job_id: int) -> int:
    """Write what the settings say, and return the number of written rows; the caller's transaction has begun a chunk.

    A row that somebody has changed since the comparison stays. The change numbers are those of the settings.
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
