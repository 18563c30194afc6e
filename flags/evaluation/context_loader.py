"""Where organizations stand and what holds for them, as evaluation needs it, read from the database."""

from __future__ import annotations

from django.db import connection

from flags.evaluation.engine import OrganizationContext, StateValue
from orgs.errors import OrganizationNotFound

PLACE = """
WITH RECURSIVE line AS (  -- by primary key, as LATERAL … OFFSET 0 insists: how short a line is, no planner knows
    SELECT id, key, parent_id FROM orgs_organization WHERE id = %(id)s
     UNION  -- not ALL: it ends in a circle of parents too, as only SQL by hand can make one
    SELECT above.id, above.key, above.parent_id
      FROM line, LATERAL (SELECT id, key, parent_id FROM orgs_organization WHERE id = line.parent_id OFFSET 0) above),
way AS (SELECT id, key, row_number() OVER () AS distance FROM line),
nearest AS (
    SELECT DISTINCT ON (state.flag_id) state.flag_id, state.enabled, state.source_id, state.change_number
      FROM way, LATERAL (SELECT * FROM flags_flagstate WHERE organization_id = way.id OFFSET 0) state
     ORDER BY state.flag_id, distance)
SELECT (SELECT array_agg(id ORDER BY distance DESC) FROM way),
       (SELECT array_agg(key ORDER BY distance DESC) FROM way),
       array_agg(flag_id ORDER BY flag_id), array_agg(enabled ORDER BY flag_id),
       array_agg(source_id ORDER BY flag_id), array_agg(change_number ORDER BY flag_id)
  FROM nearest
"""

Columns = tuple[tuple[int, ...], tuple[bool, ...], tuple[int, ...], tuple[int, ...]]
"""States column by column, in the order of the flags' ids: flags, values, sources, change numbers."""


def load_columns(organization_id: int) -> tuple[tuple[int, ...], tuple[str, ...], Columns]:
    """The organization's line, ids and keys from the root down, and its states; one query, one row.

    An organization that waits for its rows, because it was imported a moment ago, has its nearest ancestor's until
    then. Raises OrganizationNotFound.
    """
    with connection.cursor() as cursor:
        cursor.execute(PLACE, {"id": organization_id})
        ids, keys, flags, values, sources, numbers = cursor.fetchone()
    if ids is None:
        raise OrganizationNotFound
    if flags is None:
        return tuple(ids), tuple(keys), ((), (), (), ())
    return tuple(ids), tuple(keys), (tuple(flags), tuple(values), tuple(sources), tuple(numbers))


def load_context(organization_id: int) -> OrganizationContext:
    """The same as evaluation takes it. Raises OrganizationNotFound."""
    ids, keys, columns = load_columns(organization_id)
    return OrganizationContext(ids, keys, {row[0]: StateValue(*row) for row in zip(*columns, strict=True)})


def id_of(key: str) -> int:
    """The id of the organization with this key. Raises OrganizationNotFound."""
    if not _is_text(key):
        raise OrganizationNotFound
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM orgs_organization WHERE key = %s", [key])
        row = cursor.fetchone()
    if row is None:
        raise OrganizationNotFound
    return int(row[0])


def _is_text(key: str) -> bool:
    """Whether PostgreSQL has such a text: no zero byte, and no half of a character, as JSON may bring it."""
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
