"""The line of names from the top down to an organization, as people read it: Acme › North › Oslo."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

PATHS = """
WITH RECURSIVE line AS (  -- upwards by primary key, for all of them at once
    SELECT id AS bottom, id, parent_id, name, 0 AS distance FROM orgs_organization WHERE id = ANY(%(ids)s)
     UNION ALL
    SELECT line.bottom, above.id, above.parent_id, above.name, distance + 1
      FROM line JOIN orgs_organization above ON above.id = line.parent_id
     WHERE line.id IS DISTINCT FROM %(top)s)
SELECT bottom, array_agg(name ORDER BY distance DESC) FROM line GROUP BY bottom
"""


def paths_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, list[str]]:
    """The names from the top to each of the organizations that exist, by id; one query for all.

    With `top_id` the lines begin there: who is bound to an organization is not told what is above it.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATHS, {"ids": list(set(organization_ids)), "top": top_id})
        return dict(cursor.fetchall())
