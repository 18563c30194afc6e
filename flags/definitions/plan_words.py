"""The plan of a change of a definition in words, for pages and commands."""

from __future__ import annotations

from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.flag_words import value_in_words
from flagsite.core.words import counted

WHO_DECIDES = "a prerequisite, a targeting rule, the whitelist or a rollout of organizations"


def effect_in_words(plan: DefinitionPlan) -> list[str]:
    """Return sentences on what the change would do."""
    sentences = [_answers(plan)]
    if plan.environments:
        many = "environment" if len(plan.environments) == 1 else "environments"
        sentences.append(f"The override of the {many} {', '.join(plan.environments)} changes for all organizations.")
    if plan.users_added or plan.users_removed:
        joining, leaving = counted(plan.users_added, "user"), counted(plan.users_removed, "user")
        sentences.append(f"{joining} more on the whitelist, and {leaving} less.")
    if plan.needed_by:
        needs = "The flag {} needs" if len(plan.needed_by) == 1 else "The flags {} need"
        sentences.append(f"{needs.format(', '.join(plan.needed_by))} this one, so their answers may change too.")
    if plan.open_schedules:
        wait = "waits" if plan.open_schedules == 1 else "wait"
        sentences.append(f"{counted(plan.open_schedules, 'scheduled change')} of the flag still {wait}.")
    return sentences


def fields_in_words(plan: DefinitionPlan) -> list[str]:
    """Return a line for each field that would change: its name, and its values before and after."""
    return [f"{each.name}: {value_in_words(each.before)} → {value_in_words(each.after)}" for each in plan.fields]


def _answers(plan: DefinitionPlan) -> str:
    if not plan.fields:
        return "The definition has these values already."
    if not plan.changed:
        return "No organization gets another answer."
    get = "gets" if plan.changed == 1 else "get"
    count = f"{plan.changed:,} of {counted(plan.organizations, 'organization')}"
    if plan.is_estimate:
        return f"About {count} {get} another answer: {WHO_DECIDES} decides in which."
    return f"{count} {get} another answer."
