"""The undo of a move: the organization goes back below its former parent, by a move of its own.

It carries its settings along, as in every move. Values that it has kept in the move stay its own settings.
"""

from __future__ import annotations

from django.db import transaction

from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.history.models import FormerPlacement
from flags.states.move_planning import of_move
from flags.states.planning import ANYTHING, Agreed
from flags.undoing.undone import MOVE, LeftAlone, Restored, UndoableChange, Undone, UndoPlan
from flagsite.core import actor
from jobs.engine.models import Job
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import (
    find_visible_organization,
    in_trees_to_lock,
    watch_visible_organization,
)
from orgs.errors import OrganizationNotFound, RoleNeeded
from orgs.tree import authorized_operations, locks
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

SEVERAL = "An import has moved several organizations with this change. Move them one by one, or import their places."
NO_MOVE = "A renaming and a deletion cannot be undone. Rename the organization, or create it again."
PARENT_GONE = "The former parent is gone, or you may not see it. Move the organization to another place."
MOVED_SINCE = "The organization was moved since, so it is no longer where this change has put it."


class ChangedPlace(UndoableChange):
    """A move of one organization."""

    kind = MOVE

    def __init__(self, caller: Caller, placement: FormerPlacement, organization: Organization) -> None:
        """`placement` is the place of the organization before the move."""
        self.number = placement.replaced_by
        self.organization: Organization = organization
        self.created_at = placement.valid_until
        self._caller = caller
        self._placement = placement

    @property
    def in_words(self) -> str:
        return f"moved {self.organization.name}"

    def plan(self) -> UndoPlan:
        parent = self._placement.parent_id
        with watch_visible_organization(self._caller, self.organization.pk, parent):
            organization = self._find()
            parent_id = authorized_operations.check_move(self._caller, organization, parent)
            plan = of_move(organization.subtree, parent_id)
        restored = Restored(organization.parent_id, parent_id, organization_id=organization.pk)
        return UndoPlan(
            self, plan.subtree.size, plan.changed, is_estimate=False, restored=1, restores=[restored],
            left_alone=LeftAlone(), effect=plan,
        )  # fmt: skip

    def undo(self, *, agreed: Agreed = ANYTHING, correlation_id: str = "", reason: str = "") -> Undone:
        parent_id, why = self._placement.parent_id, reason or actor.current().reason
        with transaction.atomic():
            locks.lock_trees_for_writing(*in_trees_to_lock(self._caller, self.organization.pk, parent_id))
            self._find()
            moved = authorized_operations.move(
                self._caller, self.organization.pk, parent=parent_id,
                options=MoveOptions(at_most=agreed.at_most, plan_hash=agreed.plan_hash),
                reason="; ".join(filter(None, [why, f"undo of change {self.number}"])),
            )  # fmt: skip
        if isinstance(moved, StartedJob):
            return Undone(self, None, 1, LeftAlone(), Job.objects.get(pk=moved.job_id))
        job = Job.objects.filter(pk__in=moved.placement_jobs).order_by("pk").first()
        return Undone(self, moved.change_number, 1, LeftAlone(), job)

    def _find(self) -> Organization:
        """Return the organization, if it can go back. Raises ChangeNotUndoable, ChangeNotFound."""
        try:
            organization = find_visible_organization(self._caller, self.organization.pk)
        except OrganizationNotFound as error:
            raise ChangeNotFound from error
        if organization.parent_id != self._placement.new_parent_id:
            raise ChangeNotUndoable(MOVED_SINCE)
        if self._placement.parent_id is not None:
            try:
                find_visible_organization(self._caller, self._placement.parent_id)
            except OrganizationNotFound as error:
                raise ChangeNotUndoable(PARENT_GONE) from error
        return organization


def find(caller: Caller, number: int) -> ChangedPlace | None:
    """Return the move with a number; None if there is none. Raises ChangeNotFound, ChangeNotUndoable, RoleNeeded."""
    placements = list(FormerPlacement.objects.filter(replaced_by=number).order_by("pk")[:2])
    if not placements:
        return None
    placement = placements[0]
    if caller.organization_id is None and (len(placements) > 1 or placement.kind != FormerPlacement.Kind.MOVE):
        raise ChangeNotUndoable(NO_MOVE if placement.kind != FormerPlacement.Kind.MOVE else SEVERAL)
    try:
        organization = find_visible_organization(caller, placement.organization_id)
    except OrganizationNotFound as error:
        raise ChangeNotFound from error
    if placement.kind != FormerPlacement.Kind.MOVE:
        raise ChangeNotUndoable(NO_MOVE)
    if len(placements) > 1:
        raise ChangeNotUndoable(SEVERAL)
    if not caller.may(Role.ADMIN):
        raise RoleNeeded(f"A move needs the role {Role.ADMIN.value}; yours is {caller.role.value}.")
    return ChangedPlace(caller, placement, organization)
