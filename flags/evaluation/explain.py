"""Why a flag is on or off for somebody: the decision's steps, and what each organization on the path has said.

All of it is read from the database, in a number of queries that depends on nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection

from flags.definitions import loader
from flags.definitions.models import check_flag_key
from flags.errors import FlagNotFound, TargetingKeyMissing
from flags.evaluation import context_loader
from flags.evaluation.engine import (
    NO_ORGANIZATION_CONTEXT,
    Decision,
    Definition,
    EvaluationContext,
    OrganizationContext,
    StateValue,
    evaluate,
)
from flags.evaluation.reasons import Rule
from flags.targeting.traces import RuleTrace, traces_of
from flags.values.served import CUSTOM, as_json, name_of
from flags.values.types import FlagType
from jobs.engine.models import Job
from orgs.tree.paths import PATH, path_parameters

MISSING_FOR_CLIENT = (
    "The rollout of the flag {!r}, or of a flag that it needs, needs a targeting key or an organization that the "
    "request does not have."
)
RULES_OF_ORGANIZATIONS = frozenset({Rule.ORGANIZATION, Rule.ROLLOUT})
"""The rules for which an organization's state counts, where there is one."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A decision, and the question that it answers."""

    definition: Definition
    decision: Decision
    context: EvaluationContext
    organization_id: int | None
    organization: OrganizationContext = NO_ORGANIZATION_CONTEXT

    @property
    def value_text(self) -> str:
        """The value in JSON, for people. Empty for a boolean flag, and without a value."""
        decision, flag_type = self.decision, self.definition.type
        if flag_type == FlagType.BOOLEAN or decision.value is None:
            return ""
        return as_json(decision.value, flag_type).decode()

    @property
    def rule_traces(self) -> list[RuleTrace]:
        """What the targeting rules compared; none if they were not asked."""
        if not any(step.rule is Rule.TARGETING for step in self.decision.steps):
            return []
        if self.decision.state is not None and self.decision.state.locked:
            return []
        context = self.context.attributes, self.context.targeting_key or "", self.organization
        return traces_of(self.definition.targeting_rules, *context)


@dataclass(frozen=True, slots=True)
class LatestChange:
    """The last change that was accepted on one organization. `variant` is the key of its variant, if it names one."""

    number: int
    enabled: bool | None
    source_id: int | None
    job_id: int | None
    requested_by: str
    created_at: datetime
    variant: str = ""


@dataclass(frozen=True, slots=True)
class OwnSetting:
    """The setting of one organization: `set`, `lock`, or `none` if nothing is set there any more.

    `variant` is the key of its variant, if it names one.
    """

    kind: str
    enabled: bool | None
    number: int
    only_here: bool
    variant: str = ""


@dataclass(frozen=True, slots=True)
class PathEntry:
    """An organization on the path: its row for the flag, its latest change, its setting, and whether that decides."""

    id: int
    key: str
    name: str
    stored_value: bool | None
    change_number: int | None
    source_id: int | None
    job_id: int | None
    updated_at: datetime | None
    change: LatestChange | None
    setting: OwnSetting | None
    decides: bool = False
    why: str = ""
    is_gone: bool = False
    """Whether it was deleted since the moment that the entry tells of."""
    variant: str = ""
    """The key of the variant that the row names, if it names one."""


def check(*, key: str, organization_id: int | None, context: EvaluationContext, for_client: bool = False) -> Checked:
    """Decide a flag; four queries at most. For a client, only flags that are available to clients exist.

    Raises InvalidFlagKey, FlagNotFound, OrganizationNotFound, TargetingKeyMissing.
    """
    check_flag_key(key)
    known = loader.load_definitions()
    if key not in known or (for_client and not known[key].available_to_clients):
        raise FlagNotFound(f"There is no flag {key!r}.")
    try:
        return check_in(known, key=key, organization_id=organization_id, context=context)
    except TargetingKeyMissing as error:
        if for_client:  # the error may name a prerequisite, which does not exist for the client
            raise TargetingKeyMissing(MISSING_FOR_CLIENT.format(key)) from error
        raise


def check_in(
    known: Mapping[str, Definition], *, key: str, organization_id: int | None, context: EvaluationContext
) -> Checked:
    """Decide a flag by these definitions, which need not be those of the database.

    Raises OrganizationNotFound, TargetingKeyMissing.
    """
    organization = NO_ORGANIZATION_CONTEXT
    if organization_id is not None:
        names = context_loader.organization_attributes_read(known.values())
        organization = context_loader.load_context(organization_id, names)
    decision = evaluate(known[key], organization, context, known)
    return Checked(known[key], decision, context, organization_id, organization)


def explain_path(checked: Checked, *, top_id: int | None = None) -> list[PathEntry]:
    """The organizations from the root, or from `top_id` if that is above, down to the one that was asked for.

    Each with its setting, its latest change, and whether that gives the stored value, or why it does not.
    """
    if checked.organization_id is None:
        return []
    entries = _path_entries(checked.organization_id, checked.definition, top_id)
    under_way = [one.change for one in entries if one.change and _is_newer(one.change, checked.decision.state)]
    statuses = _chain_statuses([change.job_id for change in under_way if change.job_id is not None])
    return [explained(one, checked, statuses) for one in entries]


PATH_ENTRIES = f"""
WITH RECURSIVE {PATH}
SELECT path.id, path.key, path.name,
       state.enabled, state.change_number, state.source_id, state.job_id, state.updated_at, state.variant,
       change.number, change.enabled, change.source_id, change.job_id, change.requested_by, change.created_at,
       change.variant, setting.kind, setting.enabled, setting.number, setting.only_here, setting.variant
  FROM path
  LEFT JOIN flags_flagsetting setting ON setting.organization_id = path.id AND setting.flag_id = %(flag)s
  LEFT JOIN flags_flagstate state ON state.organization_id = path.id AND state.flag_id = %(flag)s
  LEFT JOIN LATERAL (  -- index change_on_organization
       SELECT * FROM flags_change WHERE organization_id = path.id AND flag_id = %(flag)s
        ORDER BY number DESC LIMIT 1) change ON TRUE
 ORDER BY path.distance DESC
"""  # noqa: S608 - no input in it


def _path_entries(organization_id: int, definition: Definition, top_id: int | None) -> list[PathEntry]:
    with connection.cursor() as cursor:
        cursor.execute(PATH_ENTRIES, path_parameters([organization_id], top_id=top_id) | {"flag": definition.id})
        rows = cursor.fetchall()
    named = partial(name_of, definition.variants)

    def if_there(made: Callable[..., Any], columns: Sequence[Any]) -> Any:
        return None if columns[0] is None else made(*columns[:-1], named(columns[-1]))

    entries = [
        PathEntry(*(*row[:8], if_there(LatestChange, row[9:16]), if_there(OwnSetting, row[16:]))) for row in rows
    ]
    return [replace(entry, variant=named(row[8] or 0)) for entry, row in zip(entries, rows, strict=True)]


def _is_newer(change: LatestChange, state: StateValue | None) -> bool:
    """Whether the change is later than the state; while a flag is set for the first time, there is no state yet."""
    return state is None or change.number > state.number


def _chain_statuses(job_ids: Sequence[int]) -> dict[int, str]:
    """How the work of each first job stands, by the id of the job."""
    return dict(Job.objects.filter(pk__in=job_ids).values_list("pk", "status")) if job_ids else {}


def explained(entry: PathEntry, checked: Checked, statuses: Mapping[int, str] | None) -> PathEntry:
    """Return the entry with whether it decides, and why.

    `statuses` has the statuses of the jobs of changes that may be under way; None if no change is.
    """
    decision = checked.decision
    gives_value = decision.state is not None and entry.id == decision.state.source_id
    decides = gives_value and decision.rule in RULES_OF_ORGANIZATIONS
    words = [_why(entry, checked)]
    if gives_value and not decides:
        words.append(f"But the rule {decision.rule} decides before organizations are asked.")
    change = None if statuses is None else entry.change
    if change is not None and _is_newer(change, decision.state) and _counts(entry, checked):
        words.append(_under_way(change, checked, statuses or {}))
    return replace(entry, decides=decides, why=" ".join(word for word in words if word))


def _counts(entry: PathEntry, checked: Checked) -> bool:
    """Whether the setting of the organization can count for the organization of the question."""
    return entry.setting is None or not entry.setting.only_here or entry.id == checked.organization_id


def _why(entry: PathEntry, checked: Checked) -> str:
    """Say whether the setting of this organization decides for the organization of the question, and why not."""
    state, setting = checked.decision.state, entry.setting
    if state is not None and entry.id == state.source_id:
        number = min(setting.number, state.number) if setting else state.number
        what = f"Its lock, by change {number}," if state.locked else f"Its change {number}"
        return f"{what} gives the stored value: {_word_of(state, checked)}."
    if setting is None:
        return "Nobody set it here."
    if setting.kind == "none":
        return f"Nothing is set here since change {setting.number}."
    value = _word(setting.enabled, setting.variant)
    if not _counts(entry, checked):
        return f"Its value, {value}, counts for this organization alone."
    if state is None or setting.number > state.number:
        return ""  # it is under way
    if entry.change_number is None or setting.number > entry.change_number:
        return f"Its change {setting.number}, to {value}, has not arrived here."
    if state.locked:
        return f"Its value, {value}, does not count below the lock of the organization {state.source_id}."
    nearer = f"the setting of the organization {state.source_id} is nearer: {_word_of(state, checked)}"
    return f"Its value is {value}. For the organization {checked.organization_id}, {nearer}."


def _under_way(change: LatestChange, checked: Checked, statuses: Mapping[int, str]) -> str:
    where = f"the organization {checked.organization_id}"
    wanted = f"Its change {change.number}, to {_word(change.enabled, change.variant)}, has not arrived at {where}"
    if change.job_id is None:
        return f"{wanted}."
    return f"{wanted}: job {change.job_id} is {statuses.get(change.job_id, 'gone')}."


def _word(enabled: bool | None, variant: str) -> str:
    """Return the word for a value: the variant that it names, or on or off."""
    if variant:
        return "a custom value" if variant == CUSTOM else f"the variant {variant!r}"
    return {True: "on", False: "off", None: "the default"}[enabled]


def _word_of(state: StateValue, checked: Checked) -> str:
    return _word(state.enabled, name_of(checked.definition.variants, state.variant))
