"""Where organizations stand and what holds for them, as evaluation needs it, read from the database."""

from __future__ import annotations

from django.db import connection

from flags.evaluation import Place, State
from orgs.errors import OrganizationNotFound

PLACE = """
WITH RECURSIVE line AS (  -- upwards by primary key
    SELECT id, key, parent_id, 0 AS distance FROM orgs_organization WHERE id = %(id)s
     UNION ALL
    SELECT above.id, above.key, above.parent_id, distance + 1
      FROM line JOIN orgs_organization above ON above.id = line.parent_id)
SELECT line.id, line.key, state.flag_id, state.enabled, state.source_id, state.change_number
  FROM line LEFT JOIN flags_flagstate state ON state.organization_id = line.id
 ORDER BY distance DESC
"""


def read(organization_id: int) -> Place:
    """The organization's place and its flags' states, in one query. Raises OrganizationNotFound.

    One that waits for its rows, because it was imported a moment ago, has its nearest ancestor's until then.
    """
    with connection.cursor() as cursor:
        cursor.execute(PLACE, {"id": organization_id})
        rows = cursor.fetchall()
    if not rows:
        raise OrganizationNotFound
    line: dict[int, str] = {}
    states: dict[int, State] = {}
    for organization, key, flag_id, *state in rows:  # downwards, so that the nearest comes last and counts
        line[organization] = key
        if flag_id is not None:
            states[flag_id] = State(flag_id, *state)
    return Place(tuple(line), tuple(line.values()), states)


def id_of(key: str) -> int:
    """The id of the organization with this key. Raises OrganizationNotFound."""
    if "\0" in key:  # PostgreSQL has no such text
        raise OrganizationNotFound
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM orgs_organization WHERE key = %s", [key])
        row = cursor.fetchone()
    if row is None:
        raise OrganizationNotFound
    return int(row[0])
