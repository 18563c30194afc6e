"""The undo of a change of a segment: the fields that it has changed get their former values.

The new values are checked against the rules of today, as for every change of a segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from flags.definitions.fields import differ
from flags.definitions.service import Undoes, lock_definitions
from flags.definitions.who_may_define import check_may_define
from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.history.models import FormerSegment
from flags.segments import service
from flags.segments.fields import FIELDS, values_of
from flags.segments.models import Segment
from flags.states.planning import ANYTHING, Agreed
from flags.undoing.undone import NOTHING_LEFT, SEGMENT, LeftAlone, Restored, UndoableChange, Undone, UndoPlan
from orgs.access.caller import Caller


class ChangedSegment(UndoableChange):
    """A change of a segment."""

    kind = SEGMENT

    def __init__(self, caller: Caller, former: FormerSegment, segment: Segment) -> None:
        """`former` is the segment that the change has replaced."""
        self.number = former.replaced_by
        self.segment: Segment = segment
        self.created_at = former.valid_until
        self._caller = caller
        self._before = former
        after = self._after()
        self.requested_by = after["updated_by"] if after else segment.updated_by

    @property
    def in_words(self) -> str:
        return f"changed the segment {self.segment.key}: {', '.join(self._changed())}"

    def plan(self) -> UndoPlan:
        values, left_alone = self._choose()
        plan = service.plan(key=self.segment.key, values=values)
        restores = [Restored(change.before, change.after, field=change.name) for change in plan.fields]
        return UndoPlan(
            self, plan.organizations, plan.changed, plan.is_estimate, len(restores), restores, left_alone, plan
        )

    def undo(self, *, agreed: Agreed = ANYTHING, correlation_id: str = "", reason: str = "") -> Undone:
        with transaction.atomic():
            lock_definitions()
            self.segment.refresh_from_db()
            values, left_alone = self._choose()
            service.update(
                key=self.segment.key, values=values, by=self._caller.name, reason=reason, agreed=agreed,
                undoes=Undoes(self.number, left_alone.count),
            )  # fmt: skip
            number = service.number_of_change(self.segment)
        return Undone(self, number, len(values), left_alone, job=None)

    def _choose(self) -> tuple[dict[str, Any], LeftAlone]:
        """Return the fields to restore with their former values, and those that were changed since."""
        now, then = values_of(self.segment), self._written()
        former = {name: value for name, value in self._changed().items() if differ(now[name], value)}
        changed_since = [name for name in former if differ(now[name], then[name])]
        values = {name: value for name, value in former.items() if name not in changed_since}
        if not values:
            raise ChangeNotUndoable(NOTHING_LEFT)
        return values, LeftAlone(fields=changed_since, count=len(changed_since))

    def _changed(self) -> dict[str, Any]:
        """Return the fields that the change has changed, with their values before it."""
        before, after = _values_in(self._before.content), self._written()
        return {name: value for name, value in before.items() if differ(value, after[name])}

    def _written(self) -> dict[str, Any]:
        """Return the values that the change has left."""
        after = self._after()
        return values_of(self.segment) if after is None else _values_in(after)

    def _after(self) -> dict[str, Any] | None:
        """Return the segment that the change has left; None if it is the one of now."""
        following = FormerSegment.objects.filter(segment_id=self.segment.pk, version__gt=self._before.version)
        next_one = following.order_by("version").first()
        return dict(next_one.content) if next_one else None


def find(caller: Caller, number: int) -> ChangedSegment | None:
    """Return the change of a segment with a number; None if there is none.

    Raises ChangeNotFound if the caller is bound to an organization or the segment is deleted, and RoleNeeded.
    """
    former = FormerSegment.objects.filter(replaced_by=number).first()
    if former is None:
        return None
    segment = Segment.objects.filter(pk=former.segment_id).first()
    if segment is None or caller.organization_id is not None:
        raise ChangeNotFound
    check_may_define(caller)
    return ChangedSegment(caller, former, segment)


def _values_in(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in FIELDS if name in content}
