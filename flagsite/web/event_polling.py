"""Finding out by queries for whom something has changed: for an events server that does not hear of changes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import close_old_connections, connection

from flags.serving.definition_set import DefinitionSet

BATCH = 1_000
STATES = """
SELECT organization_id, count(*), sum(hashint8extended(change_number, flag_id))
  FROM flags_flagstate WHERE organization_id = ANY(%s) GROUP BY organization_id
"""
"""A digest of the flag states of each organization. Each write of a state gives it the number of another change."""
Digests = dict[int, tuple[object, ...]]


class ChangePoll:
    """Remembers what it found at the last poll."""

    def __init__(self) -> None:
        self._definitions: bytes | None = None
        self._states: Digests = {}

    def changed(self, organization_ids: Iterable[int]) -> set[int] | None:
        """Return those of the organizations whose flag states differ from the last poll; None for all of them.

        An organization that was not asked for at the last poll counts as changed. Raises database errors.
        """
        try:
            definitions = DefinitionSet.load().fingerprint
            states = _digests(sorted(set(organization_ids)))
        finally:
            close_old_connections()
        everybody = definitions != self._definitions
        changed = {one for one, digest in states.items() if self._states.get(one) != digest}
        self._definitions, self._states = definitions, states
        return None if everybody else changed


def _digests(organization_ids: list[int]) -> Digests:
    found: Digests = dict.fromkeys(organization_ids, ())
    with connection.cursor() as cursor:
        for first in range(0, len(organization_ids), BATCH):
            cursor.execute(STATES, [organization_ids[first : first + BATCH]])
            found |= {row[0]: row[1:] for row in cursor.fetchall()}
    return found
