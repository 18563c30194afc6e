"""Paths in SQL: the organizations from the root down to one organization, found by the parent links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection

# LATERAL with OFFSET 0 makes PostgreSQL look up each parent by primary key: no planner knows how short a path is. A
# condition on the nested set would scan half of a tree instead. The recursion ends, since a trigger refuses circles of
# parents (migration 0010_no_circles_of_parents).
PATH = """
path AS (
    SELECT id AS bottom_id, id, key, name, parent_id, 0 AS distance
      FROM orgs_organization WHERE id = ANY(%(bottom_ids)s)
     UNION ALL
    SELECT path.bottom_id, above.id, above.key, above.name, above.parent_id, path.distance + 1
      FROM path, LATERAL (
           SELECT id, key, name, parent_id FROM orgs_organization WHERE id = path.parent_id OFFSET 0) above
     WHERE path.id IS DISTINCT FROM %(top_id)s)
"""
"""For statements that begin with `WITH RECURSIVE`: every organization of some paths, each path from its end upwards.

`bottom_id` is the organization that the path leads to, `distance` how many levels an organization is above that one.
`path_parameters` gives the values for the parameters.
"""
PATH_IDS = f"WITH RECURSIVE {PATH} SELECT id FROM path ORDER BY distance DESC"  # noqa: S608 - no input in it
PATH_NAMES = f"""
WITH RECURSIVE {PATH}
SELECT bottom_id, array_agg(name ORDER BY distance DESC) FROM path GROUP BY bottom_id
"""  # noqa: S608 - no input in it


def path_parameters(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[str, Any]:
    """The values for a statement with PATH: the organizations whose paths it finds.

    With `top_id` a path begins at that organization, if it comes by it.
    """
    return {"bottom_ids": list(set(organization_ids)), "top_id": top_id}


def path_ids_of(organization_id: int) -> list[int]:
    """The ids of the organizations on the path, root first, the organization itself last; none when it is gone."""
    with connection.cursor() as cursor:
        cursor.execute(PATH_IDS, path_parameters([organization_id]))
        return [row[0] for row in cursor.fetchall()]


def path_names_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, list[str]]:
    """The names on the path of each organization that exists, root first, by the organization's id; one query for all.

    With `top_id` the paths begin there: a caller that has a scope is not told what is above it.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATH_NAMES, path_parameters(organization_ids, top_id=top_id))
        return dict(cursor.fetchall())
