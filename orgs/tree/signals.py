"""What other apps may want to do when the tree changes; sent inside the transaction that changes it.

`organizations_placed(sender, placements)`: organizations were created or moved; the tree columns are new already.
`organization_removing(sender, organization)`: this organization and everything below it is about to be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.dispatch import Signal

organizations_placed = Signal()
organization_removing = Signal()


@dataclass(frozen=True, slots=True)
class Placement:
    """One organization that has a new place, with all that is below it.

    `former_ancestor_ids` are those strictly above it before the move, root first; None when it was created,
    in which case everything below it was created in the same transaction.
    """

    organization_id: int
    parent_id: int | None
    former_ancestor_ids: tuple[int, ...] | None = None

    @property
    def is_new(self) -> bool:
        return self.former_ancestor_ids is None
