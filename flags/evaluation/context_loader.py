"""The path and the flag states of an organization, read from the database for evaluation."""

from __future__ import annotations

from django.db import connection

from flags.evaluation.engine import OrganizationContext, StateValue
from orgs.errors import OrganizationNotFound
from orgs.tree.paths import PATH, path_parameters

PATH_AND_STATES = f"""
WITH RECURSIVE {PATH},
nearest AS (
    SELECT DISTINCT ON (state.flag_id) state.flag_id, state.enabled, state.source_id, state.change_number
      FROM path, LATERAL (SELECT * FROM flags_flagstate WHERE organization_id = path.id OFFSET 0) state
     ORDER BY state.flag_id, distance)
SELECT (SELECT array_agg(id ORDER BY distance DESC) FROM path),
       (SELECT array_agg(key ORDER BY distance DESC) FROM path),
       array_agg(flag_id ORDER BY flag_id), array_agg(enabled ORDER BY flag_id),
       array_agg(source_id ORDER BY flag_id), array_agg(change_number ORDER BY flag_id)
  FROM nearest
"""  # noqa: S608 - no input in it

StateColumns = tuple[tuple[int, ...], tuple[bool, ...], tuple[int, ...], tuple[int, ...]]
"""Flag states column by column, in the order of the flags' ids: flags, values, sources, change numbers."""


def load_organization(organization_id: int) -> tuple[tuple[int, ...], tuple[str, ...], StateColumns]:
    """The organization's path, as ids and as keys, root first, and its flag states; one query, one row.

    An organization that was imported a moment ago and waits for its states has its nearest ancestor's until then.
    Raises OrganizationNotFound.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATH_AND_STATES, path_parameters([organization_id]))
        ids, keys, flags, values, sources, numbers = cursor.fetchone()
    if ids is None:
        raise OrganizationNotFound
    if flags is None:
        return tuple(ids), tuple(keys), ((), (), (), ())
    return tuple(ids), tuple(keys), (tuple(flags), tuple(values), tuple(sources), tuple(numbers))


def load_context(organization_id: int) -> OrganizationContext:
    """The same as `flags.evaluation.engine.evaluate` takes it. Raises OrganizationNotFound."""
    ids, keys, columns = load_organization(organization_id)
    return OrganizationContext(ids, keys, {row[0]: StateValue(*row) for row in zip(*columns, strict=True)})


def find_id(key: str) -> int:
    """The id of the organization with this key. Raises OrganizationNotFound."""
    if not _is_text(key):
        raise OrganizationNotFound
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM orgs_organization WHERE key = %s", [key])
        row = cursor.fetchone()
    if row is None:
        raise OrganizationNotFound
    return int(row[0])


def is_key_of_another(organization_id: int) -> bool:
    """Whether another organization has the digits of this organization's id as its key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM orgs_organization WHERE key = %s AND id <> %s)",
            [str(organization_id), organization_id],
        )
        return bool(cursor.fetchone()[0])


def _is_text(key: str) -> bool:
    """Whether PostgreSQL can hold the text: it has no zero byte and no lone surrogate, which JSON may bring."""
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
