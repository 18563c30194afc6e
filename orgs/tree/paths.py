"""Paths in SQL: the organizations from the root down to one organization, found by the parent links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
LOWEST = 8
"""A folded path has so many organizations at its lower end. Above them it has only its top, and the number left out."""
FOLDED_PATHS = f"""
WITH RECURSIVE {PATH.replace("WHERE path.id IS", "WHERE path.distance < %(lowest)s - 1 AND path.id IS")},
lowest AS (
    SELECT bottom_id, array_agg(id ORDER BY distance DESC) AS ids, array_agg(name ORDER BY distance DESC) AS names,
           (array_agg(parent_id ORDER BY distance DESC))[1] AS next_id
      FROM path GROUP BY bottom_id)
SELECT bottom_id, ids, names, top.id, top.name, next.level - top.level
  FROM lowest
  LEFT JOIN orgs_organization next ON next.id = next_id AND ids[1] IS DISTINCT FROM %(top_id)s
  LEFT JOIN LATERAL (
       SELECT scope.id, scope.name, scope.level, 1 AS rank FROM orgs_organization scope
        WHERE scope.id = %(top_id)s AND scope.tree_id = next.tree_id
          AND next.lft BETWEEN scope.lft AND scope.rght
        UNION ALL
       (SELECT root.id, root.name, root.level, 2 FROM orgs_organization root
         WHERE root.tree_id = next.tree_id ORDER BY root.lft LIMIT 1)
        ORDER BY rank LIMIT 1) top ON TRUE
"""  # noqa: S608 - no input in it
"""The lower ends of some paths, each with its top. It reads LOWEST organizations of a path, whatever its length."""


@dataclass(frozen=True, slots=True)
class FoldedPath:
    """A path for people: its lowest organizations, and its top if it is longer. Each is an id with a name."""

    top: tuple[int, str] | None
    """The top, if it is not one of the lowest organizations."""
    left_out: int
    """The number of organizations between the top and the lowest."""
    lowest: list[tuple[int, str]]

    @property
    def names(self) -> list[str]:
        """The names, top first, with an ellipsis instead of the names that are left out."""
        top = [self.top[1]] if self.top else []
        return top + ["…"] * (self.left_out > 0) + [name for _, name in self.lowest]


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


def folded_paths_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, FoldedPath]:
    """Return the folded path of each existing organization by its id, with one query.

    With `top_id`, the paths begin at this organization, because a caller must not see what is above the scope.
    """
    with connection.cursor() as cursor:
        cursor.execute(FOLDED_PATHS, path_parameters(organization_ids, top_id=top_id) | {"lowest": LOWEST})
        return {
            bottom: FoldedPath(None if top is None else (top, name), left_out or 0, list(zip(ids, names, strict=True)))
            for bottom, ids, names, top, name, left_out in cursor.fetchall()
        }


def path_names_of(organization_ids: Iterable[int], *, top_id: int | None = None) -> dict[int, list[str]]:
    """Return the names of `folded_paths_of`, by organization id."""
    return {id_: path.names for id_, path in folded_paths_of(organization_ids, top_id=top_id).items()}
