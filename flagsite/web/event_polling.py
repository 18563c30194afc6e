"""Finding out by queries for whom something has changed: for an events server that does not hear of changes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import close_old_connections, connection

from flags.serving.definition_set import DefinitionSet
from orgs.tree.paths import PATH, path_parameters

BATCH = 1_000
STATES = """
SELECT organization_id, count(*), sum(hashint8extended(change_number, flag_id))
  FROM flags_flagstate WHERE organization_id = ANY(%s) GROUP BY organization_id
"""
"""A digest of the flag states of each organization. Each write of a state gives it the number of another change."""
ATTRIBUTES = f"""
WITH RECURSIVE {PATH}
SELECT bottom_id, count(*), sum(hashtextextended(attribute.name || attribute.value::text, path.id)::numeric)
  FROM path JOIN orgs_organizationattribute attribute ON attribute.organization_id = path.id
 WHERE attribute.name = ANY(%(names)s) GROUP BY bottom_id
"""  # noqa: S608 - no input in it
"""A digest of those attributes on the path of each organization that targeting rules read."""
Digests = dict[int, tuple[object, ...]]


class ChangePoll:
    """Remembers what it found at the last poll: definitions, flag states, and attributes of organizations."""

    def __init__(self) -> None:
        self._definitions: bytes | None = None
        self._states: Digests = {}

    def changed(self, organization_ids: Iterable[int]) -> set[int] | None:
        """Return those of the organizations for which something differs from the last poll; None for all of them.

        An organization that was not asked for at the last poll counts as changed. Raises database errors.
        """
        try:
            found = DefinitionSet.load()
            definitions, names = found.fingerprint, found.organization_attributes
            states = _digests(sorted(set(organization_ids)), sorted(names))
        finally:
            close_old_connections()
        everybody = definitions != self._definitions
        changed = {one for one, digest in states.items() if self._states.get(one) != digest}
        self._definitions, self._states = definitions, states
        return None if everybody else changed


def _digests(organization_ids: list[int], names: list[str]) -> Digests:
    found: Digests = dict.fromkeys(organization_ids, ())
    with connection.cursor() as cursor:
        for first in range(0, len(organization_ids), BATCH):
            some = organization_ids[first : first + BATCH]
            cursor.execute(STATES, [some])
            found |= {row[0]: row[1:] for row in cursor.fetchall()}
            if names:
                cursor.execute(ATTRIBUTES, path_parameters(some) | {"names": names})
                found |= {row[0]: (*found[row[0]], *row[1:]) for row in cursor.fetchall()}
    return found
