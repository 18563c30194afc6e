"""The line of names from the top down to an organization, as people read it: Acme › North › Oslo."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

PATHS = """
WITH RECURSIVE line AS (  -- upwards by primary key, for all of them at once
    SELECT id AS bottom, id, parent_id, name FROM orgs_organization WHERE id = ANY(%(ids)s)
     UNION  -- not ALL: it ends in a circle of parents too
    SELECT line.bottom, above.id, above.parent_id, above.name
      FROM line JOIN orgs_organization above ON above.id = line.parent_id
     WHERE line.id IS DISTINCT FROM %(top)s)
SELECT bottom, array_agg(name ORDER BY distance DESC)
  FROM (SELECT bottom, name, row_number() OVER () AS distance FROM line) line GROUP BY bottom
"""


UPWARDS = """
WITH RECURSIVE line AS (  -- upwards by primary key
    SELECT id, parent_id FROM orgs_organization WHERE id = %(bottom)s
     UNION  -- not ALL: it ends in a circle of parents too
    SELECT above.id, above.parent_id FROM line JOIN orgs_organization above ON above.id = line.parent_id)
SELECT EXISTS (SELECT FROM line WHERE id = %(passed)s)
"""


def leads_past(bottom_id: int | None, organization_id: int) -> bool:
    """Whether the parent links upwards from an organization, itself included, come by another one."""
    with connection.cursor() as cursor:
        cursor.execute(UPWARDS, {"bottom": bottom_id, "passed": organization_id})
        return bool(cursor.fetchone()[0])


def paths_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, list[str]]:
    """The names from the top to each of the organizations that exist, by id; one query for all.

    With `top_id` the lines begin there: who is bound to an organization is not told what is above it.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATHS, {"ids": list(set(organization_ids)), "top": top_id})
        return dict(cursor.fetchall())


LINE = """
WITH RECURSIVE line AS (  -- by primary key; the tree's numbers would need a scan of half the tree
    SELECT id, parent_id FROM orgs_organization WHERE id = %s
     UNION  -- not ALL: it ends in a circle of parents too, as only SQL by hand can make one
    SELECT above.id, above.parent_id FROM line JOIN orgs_organization above ON above.id = line.parent_id)
SELECT id FROM (SELECT id, row_number() OVER () AS distance FROM line) line ORDER BY distance
"""


def line_of(organization_id: int) -> list[int]:
    """The ids of the organization and of everything above it, upwards."""
    with connection.cursor() as cursor:
        cursor.execute(LINE, [organization_id])
        return [row[0] for row in cursor.fetchall()]
