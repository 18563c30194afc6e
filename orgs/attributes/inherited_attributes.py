"""Which attributes hold in an organization: of each name the nearest on its path, unless that is null."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from django.db import connection

NEAREST = """
SELECT DISTINCT ON (attribute.name) attribute.name, attribute.value, attribute.organization_id
  FROM unnest(%(path)s::bigint[]) WITH ORDINALITY AS place (organization_id, level)
  JOIN orgs_organizationattribute attribute USING (organization_id)
 WHERE %(names)s::text[] IS NULL OR attribute.name = ANY(%(names)s)
 ORDER BY attribute.name, place.level DESC
"""


class HeldAttribute(NamedTuple):
    """An attribute that holds in an organization, and the organization from which it comes."""

    name: str
    value: Any
    source_id: int


def nearest_on(path_ids: Sequence[int], names: Collection[str] | None = None) -> list[HeldAttribute]:
    """Return the nearest attribute of each name on a path, in the order of the names; nulls are among them.

    `path_ids` begins with the root. `names` are those that count; None means all.
    """
    if not path_ids or (names is not None and not names):
        return []
    parameters = {"path": list(path_ids), "names": None if names is None else list(names)}
    with connection.cursor() as cursor:
        cursor.execute(NEAREST, parameters)
        rows = cursor.fetchall()
    return [HeldAttribute(name, json.loads(value), source_id) for name, value, source_id in rows]


def held_on(path_ids: Sequence[int], names: Collection[str] | None = None) -> list[HeldAttribute]:
    """Return the attributes that hold in the last organization of a path. The parameters are those of `nearest_on`."""
    return [one for one in nearest_on(path_ids, names) if one.value is not None]
