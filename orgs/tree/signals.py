"""Signals that tell other apps of changes of the tree, sent inside the transaction that changes it.

`organizations_placed(sender, placements)`: organizations were created or moved; the nested set is new already.
`organization_removing(sender, organization)`: this organization and everything below it is about to be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.dispatch import Signal

organizations_placed = Signal()
organization_removing = Signal()


@dataclass(frozen=True, slots=True)
class Placement:
    """An organization that was created, moved or imported, together with everything below it.

    `former_ancestor_ids` are the organizations above it before the move, root first; None when it was created. Then
    everything below it was created in the same transaction.
    """

    organization_id: int
    parent_id: int | None
    former_ancestor_ids: tuple[int, ...] | None = None

    @property
    def is_new(self) -> bool:
        return self.former_ancestor_ids is None
