"""The evaluation of a flag: one pure function that asks rules in a fixed order and records the result of each rule.

1. An archived or killed flag is off. 2. If a prerequisite is not as it must be, the flag is off. 3. An environment
override decides. 4. The flag is on for a whitelisted targeting key. 5. The first targeting rule that matches decides.
6. The stored value: the organization's flag state or, without one, the flag's default. If it is off, the flag is off.
7. The rollout decides. Neither the whitelist, nor targeting rules, nor the rollout count where the value is locked.

What the flag serves follows (`flags.values.served`): off is the off variant. On is the variant of the targeting rule
that decided, else that of the organization's flag state, else that of the default rollout, else the default variant.

A rollout cannot be decided without its unit, or if its hash version is unknown here. If the rollout of a prerequisite
cannot be decided, the flag is off nevertheless where another prerequisite or a later rule turns it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.default_rollout import NO_SHARE, share_of
from flags.evaluation.reasons import (
    REASONS,
    STOPPED,
    Outcome,
    Reason,
    Rule,
    RuleResult,
    Unit,
    in_bucket,
    name_of_unit,
    rollout_unit,
    word,
)
from flags.evaluation.rollout import BUCKETS, HASH_VERSION, bucketing, hash_version
from flags.evaluation.wants import Wants, missing, unmet
from flags.targeting.attributes import Attributes
from flags.targeting.rule_rollouts import RuleRollout, unit_bytes
from flags.targeting.rules import TargetingRule
from flags.targeting.weights import variant_in
from flags.values.served import Served, sentence_on, served
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED, Variant
from flagsite.core.errors import FlagsiteError

UNDECIDED = (TargetingKeyMissing, UnknownHashVersion)
"""The errors of a rollout that cannot be decided."""


@dataclass(frozen=True, slots=True)
class Definition:
    """The part of a definition that evaluation needs. `threshold` is the lowest bucket outside the rollout."""

    id: int
    key: str
    enabled: bool = False
    threshold: int = BUCKETS
    salt: str = ""
    unit: Unit = Unit.TARGETING_KEY
    level: int | None = None
    whitelist: frozenset[str] = frozenset()
    targeting_rules: tuple[TargetingRule, ...] = ()
    environments: Mapping[str, bool] = field(default_factory=dict)
    prerequisites: tuple[str, ...] = ()
    wants: Wants = field(default_factory=dict)
    """What prerequisites have to be where they do not have to be on."""
    archived: bool = False
    killed: bool = False
    version: int = 1
    hash_version: int = HASH_VERSION
    available_to_clients: bool = False
    type: FlagType = FlagType.BOOLEAN
    variants: tuple[Variant, ...] = ()
    """Empty for a boolean flag, whose variants are `on` and `off`."""
    default_variant: str = ""
    off_variant: str = ""
    """Keys of variants. Empty for a boolean flag, and where there is no value for off."""
    default_rollout: RuleRollout | None = None

    def reason_of(self, rule: Rule, *, enabled: bool, has_value: bool = True, is_split: bool = False) -> Reason:
        """Return the reason of a resolution by a rule.

        Without a value, it is DISABLED where the flag is off, and DEFAULT where it is on. It is SPLIT where the default
        rollout has chosen the variant (`is_split`). The default is static unless targeting rules were asked before.
        https://openfeature.dev/specification/types#resolution-reason says what the reasons mean.
        """
        if not has_value:
            return Reason.DEFAULT if enabled else Reason.DISABLED
        if is_split:
            return Reason.SPLIT
        return Reason.DEFAULT if rule is Rule.DEFAULT and self.targeting_rules else REASONS[rule]

    @property
    def asks_for_path(self) -> bool:
        """Whether the value depends on the organizations above: on their keys, or on attributes that come from them."""
        by_default = self.default_rollout is not None and self.default_rollout.asks_for_path
        return self.unit == Unit.ANCESTOR or by_default or any(rule.asks_for_path for rule in self.targeting_rules)


@dataclass(frozen=True, slots=True)
class StateValue:
    """An organization's value of a flag, the organization on which it was set, and the number of that change.

    A `locked` value is that of everybody in the organization: neither whitelist nor rollout changes it. `variant` is
    the number of a variant or custom value, or 0 (`flags.values.variants`). `custom` is this custom value.
    """

    flag_id: int
    enabled: bool
    source_id: int
    number: int
    locked: bool = False
    variant: int = BY_ENABLED
    custom: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OrganizationContext:
    """The path of an organization, root first and the organization last, and its flag states by flag id.

    `NO_ORGANIZATION_CONTEXT` is for an evaluation without an organization.
    """

    ids: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    states: Mapping[int, StateValue] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)
    """The attributes of the organization by name; those that it inherits are among them."""
    attribute_sources: Mapping[str, str] = field(default_factory=dict)
    """The key of the organization from which each attribute comes."""


NO_ORGANIZATION_CONTEXT = OrganizationContext()


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """The evaluation context without the organization: targeting key, environment and attributes."""

    targeting_key: str | None = None
    environment: str | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one rule. `enabled` is None if the rule left the decision to the next rule.

    `rule_id` is the id of the targeting rule that decided; empty for other rules.
    """

    rule: Rule
    enabled: bool | None
    detail: str
    rule_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """On or off, the rule that decided, the steps up to this rule, and the organization's flag state, if it has one."""

    enabled: bool
    rule: Rule
    steps: tuple[Step, ...]
    state: StateValue | None
    reason: Reason
    """The reason of a resolution, as OpenFeature names it."""
    served: Served
    is_left_to_rollout: bool = False
    """Whether the default rollout counts: for this user, or for others who have its unit."""

    @property
    def variant(self) -> str:
        """The key of the variant that is served. Empty if the flag serves no value."""
        return self.served.variant

    @property
    def value(self) -> Any:
        """The value that is served. None if there is none: the application's own default counts."""
        return self.served.value

    @property
    def rule_id(self) -> str:
        """The id of the targeting rule that decided; empty if another rule decided."""
        return next((step.rule_id for step in self.steps if step.rule_id), "")


def evaluate(
    definition: Definition,
    organization: OrganizationContext,
    context: EvaluationContext,
    definitions: Mapping[str, Definition],
) -> Decision:
    """Decide whether a flag is on for a targeting key of an organization.

    `definitions` contains all prerequisites by their keys, without a cycle. Raises TargetingKeyMissing, with the steps
    so far, if the result depends on a rollout that needs a targeting key or an organization that the context does not
    have. Raises UnknownHashVersion if the result depends on a rollout whose hash version this version of Flagsite does
    not know. If several rollouts have such an error, the error of the first one is raised.
    """
    return _decide(_Input(definition, organization, context, definitions, {}))


@dataclass(frozen=True, slots=True)
class _Input:
    """The input of every rule."""

    definition: Definition
    organization: OrganizationContext
    context: EvaluationContext
    definitions: Mapping[str, Definition]
    decided: dict[str, Decision | FlagsiteError]
    """Decisions on prerequisites by key, or why there is none, so that each prerequisite is evaluated only once."""

    @property
    def asked(self) -> tuple[Attributes, str, OrganizationContext]:
        """For whom it is asked: attributes, targeting key and organization, as targeting rules take them."""
        return self.context.attributes, self.context.targeting_key or "", self.organization


def _decide(given: _Input) -> Decision:
    steps: list[Step] = []
    undecided: FlagsiteError | None = None
    for rule, apply_rule in RULES:
        try:
            outcome = Outcome(*apply_rule(given))
        except UNDECIDED as error:
            if undecided is None:
                undecided = error
                if isinstance(error, TargetingKeyMissing):
                    error.steps = tuple(steps)
            outcome = Outcome(None, f"This rule cannot be decided. {error.detail}")
        steps.append(Step(rule, outcome.enabled, outcome.detail, outcome.rule_id))
        if outcome.enabled is not None:
            break
    if undecided is not None and outcome.enabled is not False:
        raise undecided
    return _decision(given, steps, outcome)


def _decision(given: _Input, steps: list[Step], outcome: Outcome) -> Decision:
    """Return the decision by the rule of the last step, which says `outcome`."""
    definition, organization, rule = given.definition, given.organization, steps[-1].rule
    enabled, state = bool(outcome.enabled), organization.states.get(definition.id)
    own = None if rule is Rule.TARGETING else state
    number, custom = (BY_ENABLED, None) if own is None else (own.variant, own.custom)
    choice: dict[str, Any] = {"number": number, "key": outcome.variant, "custom": custom}
    share = share_of(definition, *given.asked, is_locked=_is_locked(given), **choice) if enabled else NO_SHARE
    if share.detail:
        steps.append(Step(Rule.DEFAULT_ROLLOUT, enabled, share.detail))
    found = served(definition, enabled=enabled, is_stopped=rule in STOPPED, default=share.variant, **choice)
    if definition.type != FlagType.BOOLEAN:
        steps[-1] = replace(steps[-1], detail=f"{steps[-1].detail} {sentence_on(found)}")
    is_split = bool(share.variant) and found.variant == share.variant
    reason = definition.reason_of(rule, enabled=enabled, has_value=found.value is not None, is_split=is_split)
    return Decision(enabled, rule, tuple(steps), state, reason, found, share.counts)


def _archived(given: _Input) -> RuleResult:
    return (False, "The flag is archived.") if given.definition.archived else (None, "The flag is not archived.")


def _killed(given: _Input) -> RuleResult:
    return (False, "The flag is killed.") if given.definition.killed else (None, "The flag is not killed.")


def _environment(given: _Input) -> RuleResult:
    overrides, environment = given.definition.environments, given.context.environment
    if not overrides:
        return None, "The flag has no environment overrides."
    if environment is None:
        return None, "The request names no environment."
    if environment not in overrides:
        return None, f"There is no override for the environment {environment!r}."
    forced = overrides[environment]
    return forced, f"The override for the environment {environment!r} turns the flag {word(forced)}."


def _prerequisite(given: _Input) -> RuleResult:
    if not given.definition.prerequisites:
        return None, "The flag has no prerequisites."
    undecided: FlagsiteError | None = None
    for key in given.definition.prerequisites:
        needed = given.definitions.get(key)
        if needed is None:
            return False, missing(key)
        decision = _decision_on(needed, given)
        if isinstance(decision, FlagsiteError):
            undecided = undecided or decision
        elif why := unmet(given.definition.wants, key, decision):
            return False, why
    if undecided is not None:
        raise undecided
    return None, "All prerequisites are as they must be." if given.definition.wants else "All prerequisites are on."


def _decision_on(needed: Definition, given: _Input) -> Decision | FlagsiteError:
    """Return the decision on a prerequisite, or the error with which it cannot be decided."""
    found = given.decided.get(needed.key)
    if found is None:
        try:
            found = _decide(_Input(needed, given.organization, given.context, given.definitions, given.decided))
        except UNDECIDED as error:
            found = error
        given.decided[needed.key] = found
    return found


def _whitelist(given: _Input) -> RuleResult:
    if not given.definition.whitelist:
        return None, "The whitelist is empty."
    if _is_locked(given):
        return None, "The value is locked for the organization, so the whitelist does not count."
    if given.context.targeting_key in given.definition.whitelist:
        return True, f"The user {given.context.targeting_key!r} is whitelisted."
    return None, "The user is not whitelisted."


def _targeting(given: _Input) -> RuleResult:
    definition = given.definition
    rules = definition.targeting_rules
    if not rules:
        return None, "The flag has no targeting rules."
    if _is_locked(given):
        return None, "The value is locked for the organization, so targeting rules do not count."
    for rule in rules:
        if not rule.matches(*given.asked):
            continue
        if rule.rollout is None and definition.type != FlagType.BOOLEAN:
            return True, f"The targeting rule {rule.id!r} matches.", rule.id, rule.variant
        if rule.rollout is None:
            return rule.enabled, f"The targeting rule {rule.id!r} turns the flag {word(bool(rule.enabled))}.", rule.id
        unit = rule.rollout.unit(*given.asked)
        if unit:
            return _by_rollout(definition, rule.id, rule.rollout, unit)
    return None, f"None of the targeting rules matches ({len(rules)})."


def _by_rollout(definition: Definition, rule_id: str, rollout: RuleRollout, unit: str) -> RuleResult:
    """Decide by the rollout of a targeting rule. Raises UnknownHashVersion."""
    number = rollout.bucketing(definition.salt, definition.key, definition.hash_version).bucket(unit_bytes(unit))
    what, matches = name_of_unit(unit, rollout.by, rollout.level), f"The targeting rule {rule_id!r} matches:"
    if definition.type == FlagType.BOOLEAN:
        enabled, detail = in_bucket(number, rollout.threshold, what)
        return enabled, f"{matches} {detail}", rule_id
    variant = variant_in(rollout.ranges, number)
    return True, f"{matches} {what} is in bucket {number} of {BUCKETS}, of {variant!r}.", rule_id, variant


def _is_locked(given: _Input) -> bool:
    state = given.organization.states.get(given.definition.id)
    return state is not None and state.locked


def _organization(given: _Input) -> RuleResult:
    state = given.organization.states.get(given.definition.id)
    if state is None:
        return None, "Nobody set the flag on the organization or above it."
    where = "this organization" if state.source_id == given.organization.ids[-1] else f"organization {state.source_id}"
    sentence = f"The value is {word(state.enabled)}. It was set on {where} by change {state.number}."
    if state.locked:
        return state.enabled, f"The value is {word(state.enabled)}. It is locked on {where} by change {state.number}."
    if state.enabled and given.definition.threshold < BUCKETS:
        return None, f"{sentence} The rollout decides."
    return state.enabled, sentence


def _default(given: _Input) -> RuleResult:
    if given.definition.id in given.organization.states:
        return None, "The organization has a flag state, so the default does not count."
    enabled = given.definition.enabled
    if enabled and given.definition.threshold < BUCKETS:
        return None, "The default is on. The rollout decides."
    return enabled, f"The default is {word(enabled)}."


def _rollout(given: _Input) -> RuleResult:
    definition = given.definition
    if definition.threshold == 0:
        return False, "The rollout is 0 %."
    hash_version(definition.hash_version)  # raises UnknownHashVersion, also if the targeting key is missing
    unit = rollout_unit(
        definition.key, definition.unit, definition.level, given.context.targeting_key, given.organization.keys
    )
    number = bucketing(definition.salt, definition.key, definition.hash_version).bucket(unit_bytes(unit))
    return in_bucket(number, definition.threshold, name_of_unit(unit, definition.unit, definition.level))


RULES = (
    (Rule.ARCHIVED, _archived),
    (Rule.KILLED, _killed),
    (Rule.PREREQUISITE, _prerequisite),
    (Rule.ENVIRONMENT, _environment),
    (Rule.WHITELIST, _whitelist),
    (Rule.TARGETING, _targeting),
    (Rule.ORGANIZATION, _organization),
    (Rule.DEFAULT, _default),
    (Rule.ROLLOUT, _rollout),
)
