"""What flag states have to be, as the settings say, and the statements that compare and mend them.

The topmost lock that holds decides, else the nearest setting; the change number is the highest one of the settings on
the path (`flags.states.setting_rules`). So the present tree and the settings decide, with two exceptions, about which
Flagsite does not guess:

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

from flags.states.models import IS_COMPLETE
from flags.states.setting_rules import DecidedValue
from flags.states.single_states import LOCK_VALUES
from flags.states.sql import Span
from orgs.tree.subtrees import Subtree, is_in_subtree

MEMBERS_OF_SPAN = f"""
SELECT id FROM orgs_organization WHERE id > %(after)s AND id <= %(last)s AND {is_in_subtree()} ORDER BY id
"""  # noqa: S608 - no input in it
NEWEST_OPEN = f"""
        SELECT number FROM flags_change change  -- index change_on_organization
         WHERE change.organization_id = place.at AND change.flag_id = place.flag_id AND NOT {IS_COMPLETE}
         ORDER BY number DESC LIMIT 1"""  # noqa: S608 - no input in it
IS_CHANGE_OF_ROW = """
                  change.flag_id = stored.flag_id AND change.number = stored.number
              AND change.enabled = stored.enabled AND change.source_id = stored.source_id
              AND change.variant = stored.variant"""
DIFFERENCES = f"""
WITH RECURSIVE up AS (
    SELECT id AS organization_id, id AS at, parent_id, 0 AS distance FROM orgs_organization WHERE id = ANY(%(ids)s)
     UNION ALL
    SELECT up.organization_id, parent.id, parent.parent_id, up.distance + 1
      FROM up JOIN orgs_organization parent ON parent.id = up.parent_id),
path AS MATERIALIZED (SELECT organization_id, array_agg(at) AS ids FROM up GROUP BY organization_id),
place AS MATERIALIZED (  -- what was decided at each organization on a path
    SELECT place.at, place.flag_id, setting.number, setting.kind, setting.enabled, setting.variant, setting.only_here,
           setting.exempt_from_id, COALESCE(setting.kept_from_id, setting.organization_id) AS source_id,
           open.number AS open_number
      FROM (SELECT at, flag_id
              FROM (SELECT DISTINCT at FROM up) at CROSS JOIN unnest(%(flags)s::bigint[]) flag_id) place
      LEFT JOIN flags_flagsetting setting ON setting.organization_id = place.at AND setting.flag_id = place.flag_id
      LEFT JOIN LATERAL (
        {NEWEST_OPEN}) open ON TRUE
     WHERE setting.number IS NOT NULL OR open.number IS NOT NULL),
line AS MATERIALIZED (
    SELECT up.organization_id, up.distance, place.*
      FROM up JOIN place USING (at)),
lock AS MATERIALIZED (  -- the topmost that no exemption lifts (`flags.states.setting_rules.deciding_lock`)
    SELECT DISTINCT ON (organization_id, flag_id) * FROM line
     WHERE kind = 'lock' AND NOT EXISTS (
           SELECT FROM line exempt JOIN line lifted
               ON lifted.organization_id = exempt.organization_id AND lifted.flag_id = exempt.flag_id
              AND lifted.at = exempt.exempt_from_id AND lifted.kind = 'lock'
            WHERE exempt.organization_id = line.organization_id AND exempt.flag_id = line.flag_id
              AND exempt.distance < line.distance AND lifted.distance >= line.distance)
     ORDER BY organization_id, flag_id, distance DESC),
nearest AS MATERIALIZED (
    SELECT DISTINCT ON (organization_id, flag_id) * FROM line
     WHERE kind IN ('set', 'lock') AND (distance = 0 OR NOT only_here)
     ORDER BY organization_id, flag_id, distance),
decided AS MATERIALIZED (
    SELECT organization_id, flag_id, max(number) AS number, max(open_number) AS open_number
      FROM line GROUP BY organization_id, flag_id),
expected AS MATERIALIZED (
    SELECT decided.*, COALESCE(lock.enabled, nearest.enabled) AS enabled,
           COALESCE(lock.variant, nearest.variant, 0) AS variant,
           COALESCE(lock.source_id, nearest.source_id) AS source_id, lock.kind IS NOT NULL AS locked,
           decided.open_number >= COALESCE(decided.number, 0) AS is_open
      FROM decided
      LEFT JOIN lock USING (organization_id, flag_id)
      LEFT JOIN nearest USING (organization_id, flag_id)),
stored AS (
    SELECT organization_id, flag_id, enabled, source_id, change_number AS number, locked, variant
      FROM flags_flagstate
     WHERE organization_id = ANY(%(ids)s) AND flag_id = ANY(%(flags)s))
SELECT organization_id, flag_id, stored.enabled, stored.source_id, stored.number, stored.locked,
       stored.variant, expected.enabled, expected.source_id, expected.number, expected.locked, expected.variant,
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
 WHERE (stored.number, stored.enabled, stored.source_id, COALESCE(stored.locked, FALSE), COALESCE(stored.variant, 0))
       IS DISTINCT FROM
       (expected.number, expected.enabled, expected.source_id, COALESCE(expected.locked, FALSE),
        COALESCE(expected.variant, 0))
   AND NOT (stored.enabled IS NULL AND expected.enabled IS NULL)
   AND NOT (COALESCE(expected.is_open, FALSE) AND (
        stored.number < expected.open_number AND EXISTS (
            SELECT FROM flags_change change
             WHERE change.flag_id = stored.flag_id AND change.number = stored.number)
        OR stored.number IS NULL AND NOT EXISTS (
            SELECT FROM flags_change change
             WHERE change.organization_id = ANY(path.ids) AND change.flag_id = expected.flag_id
               AND change.number < expected.open_number AND {IS_COMPLETE})))
 ORDER BY organization_id, flag_id
"""  # noqa: S608 - no input in it
STRETCH = 50
"""Organizations of a sample that follow each other, so that a sample does not read one page for each organization."""
SAMPLE = """
WITH start AS MATERIALIZED (
    SELECT random() * newest.id AS id
      FROM (SELECT max(id) AS id FROM orgs_organization) newest, generate_series(1, %(stretches)s))
SELECT id FROM (
    SELECT DISTINCT near.id FROM start, LATERAL (
        (SELECT id FROM orgs_organization WHERE id >= start.id ORDER BY id LIMIT %(stretch)s)
         UNION ALL
        (SELECT id FROM orgs_organization WHERE id < start.id ORDER BY id DESC LIMIT %(stretch)s)
         LIMIT %(stretch)s) near) sample
 LIMIT %(most)s
"""
SAMPLE_OF_FLAGS = "SELECT id FROM flags_flag WHERE NOT purging ORDER BY random() LIMIT %s"
GIVEN = """
unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(enabled)s::boolean[], %(sources)s::bigint[],
       %(numbers)s::bigint[], %(locks)s::boolean[], %(variants)s::integer[], %(old_numbers)s::bigint[])
    AS given(organization_id, flag_id, enabled, source_id, number, locked, variant, old_number)
"""
UPDATE = f"""
UPDATE flags_flagstate state
   SET enabled = given.enabled, source_id = given.source_id, change_number = given.number, job_id = %(job)s,
       locked = given.locked, variant = given.variant, updated_at = statement_timestamp()
  FROM {GIVEN}
 WHERE state.organization_id = given.organization_id AND state.flag_id = given.flag_id
   AND state.change_number = given.old_number AND given.number IS NOT NULL
"""  # noqa: S608 - no input in it
INSERT = f"""
INSERT INTO flags_flagstate
       (organization_id, flag_id, enabled, source_id, change_number, job_id, locked, variant, updated_at)
SELECT given.organization_id, given.flag_id, given.enabled, given.source_id, given.number, %(job)s, given.locked,
       given.variant, statement_timestamp()
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
    stored: DecidedValue | None
    expected: DecidedValue | None
    undecided: str = ""

    @property
    def kind(self) -> str:
        """How the flag state differs."""
        if self.undecided:
            return "undecided"
        if self.stored is None or self.stored.enabled is None:
            return "missing"
        return "extra" if self.expected is None or self.expected.enabled is None else "wrong"


def members_of(subtree: Subtree, span: Span) -> list[int]:
    """Return the ids of the organizations of a span, in ascending order."""
    with connection.cursor() as cursor:
        cursor.execute(MEMBERS_OF_SPAN, {"after": span.after, "last": span.last, **subtree.parameters()})
        return [row[0] for row in cursor.fetchall()]


def differences(organization_ids: Sequence[int], flag_ids: Sequence[int]) -> list[Difference]:
    """Compare the flag states of organizations and flags with the settings, in the order of the primary key."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES, {"ids": list(organization_ids), "flags": list(flag_ids)})
        return [
            Difference(row[0], row[1], _value(row[1], row[2:7]), _value(row[1], row[7:12]), row[12])
            for row in cursor.fetchall()
        ]


def sampled_organizations(most: int) -> list[int]:
    """Return the ids of some organizations, chosen at random: `most`, or a few less if they come up twice."""
    stretches = -(-most // STRETCH)
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, {"stretches": stretches, "stretch": STRETCH, "most": most})
        return [row[0] for row in cursor.fetchall()]


def sample(*, organizations: int, flags: int) -> tuple[int, list[Difference]]:
    """Compare the flag states of some organizations and flags, chosen at random; return their number, and what differs.

    Flag states that nobody can decide are no difference here.
    """
    organization_ids = sampled_organizations(organizations)
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE_OF_FLAGS, [flags])
        flag_ids = [row[0] for row in cursor.fetchall()]
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
        "locks": [value and value.locked for value in wanted],
        "variants": [value and value.variant for value in wanted],
        "old_numbers": [difference.stored and difference.stored.number for difference in decided],
        "job": job_id,
    }
    written = 0
    with connection.cursor() as cursor:
        cursor.execute(LOCK_VALUES, parameters)
        for statement in (UPDATE, INSERT, DELETE):
            cursor.execute(statement, parameters)
            written += cursor.rowcount
    return written


def _value(flag_id: int, columns: tuple[Any, ...]) -> DecidedValue | None:
    enabled, source_id, number, locked, variant = columns
    return None if number is None else DecidedValue(flag_id, enabled, source_id, number, bool(locked), variant or 0)
