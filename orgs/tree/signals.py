"""Signals about changes of the tree, for other apps. They are sent inside the transaction of the change.

`organizations_placed(sender, placements)`: organizations were created or moved, and the nested set is already written.
Receivers return the ids of the jobs that they have created.
`organizations_removing(sender, stretch)`: the organizations of this stretch of a tree will now be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.dispatch import Signal

from orgs.tree.move_options import KeptValue

organizations_placed = Signal()
organizations_removing = Signal()


@dataclass(frozen=True, slots=True)
class Placement:
    """An organization that was created, moved or imported, together with everything below it.

    `former_ancestor_ids` are the organizations above it before the move, root first. They are None if it was created;
    then everything below it was created in the same transaction.
    """

    organization_id: int
    parent_id: int | None
    former_ancestor_ids: tuple[int, ...] | None = None
    keeps_values: bool = False
    """The values of flags at the former place become settings of the organization itself."""
    kept: list[KeptValue] = field(default_factory=list)
    """Receivers add the values here that they have kept."""
    change_numbers: list[int] = field(default_factory=list)
    """Receivers add the number here that they have given to a move."""

    @property
    def is_new(self) -> bool:
        return self.former_ancestor_ids is None
