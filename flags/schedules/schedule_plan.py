"""What a scheduled change would do if it were due now. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flags.definitions import service
from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.models import Flag
from flags.definitions.plan_words import effect_in_words, fields_in_words
from flags.definitions.who_may_define import check_may_define
from flags.errors import FlagNotFound
from flags.schedules import authors, schedulable
from flags.schedules.models import FlagSchedule
from flags.schedules.steps import check_as_left
from flags.states import planning
from flags.states.effect_words import sentences
from flags.states.organization_settings import locks_named_for
from flags.states.plan_figures import figures_of_flag
from flags.states.planning import Plan
from flags.states.set_flag import check_can_be_set
from flags.states.setting_api import context_of
from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.access.visible_organizations import watch_visible_organization
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """The plan of the change on an organization or of a definition, or in `refused` why the change would fail."""

    schedule: FlagSchedule
    setting: Plan | None = None
    definition: DefinitionPlan | None = None
    refused: str | None = None

    @property
    def in_words(self) -> list[str]:
        """The plan in sentences."""
        if self.refused is not None:
            return [f"It would fail: {self.refused}"]
        if self.definition is not None:
            return [*fields_in_words(self.definition), *effect_in_words(self.definition)]
        return sentences(self.setting.effect) if self.setting else []


def plan_of(caller: Caller, schedule: FlagSchedule) -> SchedulePlan:
    """Return what a scheduled change would do, whether it would be refused, and why.

    The caller sees the schedule. Raises OrganizationNotFound if the caller does not see its organization, as after a
    move to another customer. Raises OutsideOfYourSubtree and RoleNeeded if it concerns a definition, which the caller
    may not change.
    """
    if schedule.organization_id is None:
        check_may_define(caller)
        return _plan_or_refusal(caller, schedule, None)
    with watch_visible_organization(caller, schedule.organization_id) as organization:
        return _plan_or_refusal(caller, schedule, organization)


def _plan_or_refusal(caller: Caller, schedule: FlagSchedule, organization: Organization | None) -> SchedulePlan:
    if not schedule.is_open:
        return SchedulePlan(schedule, refused=f"The scheduled change is {schedule.status}.")
    try:
        flag = Flag.objects.filter(pk=schedule.flag_id).first()
        if flag is None:
            raise FlagNotFound(f"The flag {schedule.flag_key} no longer exists.")
        authors.check_may_apply(schedule)
        if organization is None:
            check_as_left(schedule, flag)
            values = schedulable.values_of(schedule.wanted)
            return SchedulePlan(schedule, definition=service.plan(key=flag.key, values=values))
        with locks_named_for(caller):
            check_can_be_set(flag.key, organization.pk, may_define=False)
        return SchedulePlan(schedule, setting=_plan(organization, flag, schedule))
    except FlagsiteError as error:
        return SchedulePlan(schedule, refused=error.detail)


def _plan(organization: Organization, flag: Flag, schedule: FlagSchedule) -> Plan:
    wanted = schedulable.check_setting(schedule.wanted)
    choice = schedulable.choice_of(wanted)
    if choice is None:
        return planning.of_reset(organization.subtree, flag, below=wanted.get("subtree", False))
    return planning.of_set(
        organization.subtree, choice.of(flag), below=schedulable.below_of(wanted),
        only_here=wanted.get("reach") == schedulable.HERE,
    )  # fmt: skip


def context_of_plan(caller: Caller, plan: SchedulePlan) -> dict[str, Any]:
    """Return what `flags.schedules.serializers.SchedulePlanSerializer` needs beside the plan."""
    if plan.setting:
        return context_of(caller, plan.setting)
    if plan.definition:
        return {"figures": figures_of_flag(caller, plan.definition.flag, changed=plan.definition.changed)}
    return {}
