"""Paths in SQL: the organizations from the root down to one organization, found by the parent links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection

# LATERAL with OFFSET 0 makes PostgreSQL read each parent by primary key. Without it, the planner does not know that a
# path is short. A condition on the nested set would scan half of a tree instead. The recursion ends, because a trigger
# refuses circles of parents (migration 0010_no_circles_of_parents).
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
"""A common table expression for statements that begin with `WITH RECURSIVE`: the organizations of some paths.

`bottom_id` is the organization at the end of the path. `distance` is the number of levels between an organization and
the end of the path. `path_parameters` returns the values of the parameters.
"""
PATH_IDS = f"WITH RECURSIVE {PATH} SELECT id FROM path ORDER BY distance DESC"  # noqa: S608 - no input in it
PATH_KEYS = f"WITH RECURSIVE {PATH} SELECT id, key FROM path ORDER BY distance DESC"  # noqa: S608 - no input in it
PATH_NAMES = f"""
WITH RECURSIVE {PATH}
SELECT bottom_id, array_agg(name ORDER BY distance DESC) FROM path GROUP BY bottom_id
"""  # noqa: S608 - no input in it


def path_parameters(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[str, Any]:
    """Return the values for a statement with PATH that finds the paths of these organizations.

    With `top_id`, a path begins at this organization, if the organization is on the path.
    """
    return {"bottom_ids": list(set(organization_ids)), "top_id": top_id}


def path_ids_of(organization_id: int) -> list[int]:
    """Return the ids on the path, from the root to the organization; an empty list if it does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(PATH_IDS, path_parameters([organization_id]))
        return [row[0] for row in cursor.fetchall()]


def path_keys_of(organization_id: int) -> dict[int, str]:
    """Return the keys on the path by id, from the root to the organization; an empty dict if it does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(PATH_KEYS, path_parameters([organization_id]))
        return dict(cursor.fetchall())


def path_names_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, list[str]]:
    """Return the names on the path of each existing organization, root first, by organization id, with one query.

    With `top_id`, the paths begin at this organization, because a caller must not see what is above the scope.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATH_NAMES, path_parameters(organization_ids, top_id=top_id))
        return dict(cursor.fetchall())
