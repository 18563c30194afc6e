"""The undo of a change of a definition: the fields that it has changed get their former values.

The new values are checked against the rules of today, as for every change of a definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from flags.definitions import service
from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.fields import FIELDS, differ, values_of
from flags.definitions.models import Flag
from flags.definitions.who_may_define import check_may_define
from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.evaluation.wants import with_wants
from flags.history.models import FormerDefinition
from flags.states.planning import ANYTHING, Agreed
from flags.targeting.weighted_rules import rollout_with_explicit_ranges, with_explicit_ranges
from flags.undoing.undone import DEFINITION, NOTHING_LEFT, LeftAlone, Restored, UndoableChange, Undone, UndoPlan
from orgs.access.caller import Caller


class ChangedDefinition(UndoableChange):
    """A change of a definition."""

    kind = DEFINITION

    def __init__(self, caller: Caller, former: FormerDefinition, flag: Flag) -> None:
        """`former` is the definition that the change has replaced."""
        self.number = former.replaced_by
        self.flag: Flag = flag
        self.created_at = former.valid_until
        self._caller = caller
        self._before = former
        after = self._after()
        self.requested_by = after["updated_by"] if after else flag.updated_by

    @property
    def in_words(self) -> str:
        names = ", ".join(FIELDS[name].wire_name for name in self._changed())
        return f"changed the definition of {self.flag.key}: {names}"

    def plan(self) -> UndoPlan:
        values, left_alone = self._choose()
        plan = service.plan(key=self.flag.key, values=values)
        return _undo_plan(self, plan, left_alone)

    def undo(self, *, agreed: Agreed = ANYTHING, correlation_id: str = "", reason: str = "") -> Undone:
        with transaction.atomic():
            service.lock_definitions()
            self.flag.refresh_from_db()
            values, left_alone = self._choose()
            service.update(
                key=self.flag.key, values=values, by=self._caller.name, reason=reason, agreed=agreed,
                undoes=service.Undoes(self.number, left_alone.count),
            )  # fmt: skip
            number = service.number_of_change(self.flag)
        return Undone(self, number, len(values), left_alone, job=None)

    def _choose(self) -> tuple[dict[str, Any], LeftAlone]:
        """Return the fields to restore with their former values, and those that were changed since."""
        now = values_of(self.flag)
        then = self._written()
        former = {name: value for name, value in self._changed().items() if differ(now[name], value)}
        changed_since = [name for name in former if differ(now[name], then[name])]
        values = {name: value for name, value in former.items() if name not in changed_since}
        if not values:
            raise ChangeNotUndoable(NOTHING_LEFT)
        if "targeting_rules" in values:
            values["targeting_rules"] = with_explicit_ranges(values["targeting_rules"])
        if values.get("default_rollout") is not None:
            values["default_rollout"] = rollout_with_explicit_ranges(values["default_rollout"])
        names = [FIELDS[name].wire_name for name in changed_since]
        return values, LeftAlone(fields=names, count=len(names))

    def _changed(self) -> dict[str, Any]:
        """Return the fields that the change has changed, with their values before it."""
        before, after = _values_in(self._before.definition), self._written()
        return {name: value for name, value in before.items() if name in after and differ(value, after[name])}

    def _written(self) -> dict[str, Any]:
        """Return the values that the change has left."""
        after = self._after()
        return values_of(self.flag) if after is None else _values_in(after)

    def _after(self) -> dict[str, Any] | None:
        """Return the definition that the change has left; None if it is the one of now."""
        following = FormerDefinition.objects.filter(flag_id=self.flag.pk, version__gt=self._before.version)
        next_one = following.order_by("version").first()
        return dict(next_one.definition) if next_one else None


def find(caller: Caller, number: int) -> ChangedDefinition | None:
    """Return the change of a definition with a number; None if there is none.

    Raises ChangeNotFound if the caller is bound to an organization, and RoleNeeded.
    """
    former = FormerDefinition.objects.filter(replaced_by=number).first()
    if former is None:
        return None
    flag = Flag.objects.filter(pk=former.flag_id).first()
    if flag is None or caller.organization_id is not None:
        raise ChangeNotFound
    check_may_define(caller)
    return ChangedDefinition(caller, former, flag)


def _undo_plan(undone: ChangedDefinition, plan: DefinitionPlan, left_alone: LeftAlone) -> UndoPlan:
    restores = [Restored(change.before, change.after, field=change.name) for change in plan.fields]
    return UndoPlan(
        undone, plan.organizations, plan.changed, plan.is_estimate, len(restores), restores, left_alone, plan
    )


def _values_in(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a former definition as the model has them. It may be older than some of today's fields."""
    whole = with_wants(definition)
    return {name: spec.value_from_json(whole[name]) for name, spec in FIELDS.items() if name in whole}
