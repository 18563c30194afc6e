"""The effective value: what an evaluation says of a flag in an organization without knowing the user.

Reads of flags return it. It follows the rules of `flags.evaluation.engine`; a property test compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.default_rollout import share_of
from flags.evaluation.engine import Decision, Definition, EvaluationContext, OrganizationContext, evaluate
from flags.evaluation.reasons import REASONS, Reason, Rule
from flags.evaluation.rollout import BUCKETS
from flags.evaluation.wants import IS_ON, Wants, missing, unmet
from flags.targeting.attributes import TARGETING_KEY
from flags.values.served import OFF, Served, served

BEFORE_PREREQUISITES = frozenset({Rule.ARCHIVED, Rule.KILLED})
AFTER_THE_WHITELIST = frozenset({Rule.TARGETING, Rule.ORGANIZATION, Rule.DEFAULT, Rule.ROLLOUT})


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """Whether a flag is on, the rule that decided, and a sentence that explains it.

    If `depends_on_user` is false, each evaluation has this value, whoever the user is. If it is true, the value is that
    of a user who is on no whitelist and has no attributes; it is on if a rollout may turn the flag on for any user.
    `rollout_percentage` is the percentage of the flag's own rollout of users, if this rollout decides.
    """

    enabled: bool
    rule: Rule
    detail: str
    depends_on_user: bool = False
    rollout_percentage: float | None = None
    has_targeting_rules: bool = False
    serves: Served = OFF
    """The variant and the value."""
    is_split: bool = False
    """Whether the default rollout has chosen the variant, by the organization."""
    shares: frozenset[str] = frozenset()
    """The variants that the default rollout may choose for users without attributes."""

    @property
    def variant(self) -> str:
        """The key of the variant that is served. Empty if the flag serves no value."""
        return self.serves.variant

    @property
    def reason(self) -> Reason:
        """The reason of a resolution, as OpenFeature names it."""
        if self.serves.value is None:
            return Reason.DEFAULT if self.enabled else Reason.DISABLED
        if self.is_split:
            return Reason.SPLIT
        return Reason.DEFAULT if self.rule is Rule.DEFAULT and self.has_targeting_rules else REASONS[self.rule]


class EffectiveValues:
    """The effective values of flags in one organization and one environment; each flag is decided only once."""

    def __init__(
        self, organization: OrganizationContext, environment: str | None, definitions: Mapping[str, Definition]
    ) -> None:
        """`definitions` contains the flags and all their prerequisites by key, without a circle."""
        self._organization = organization
        self._context = EvaluationContext(None, environment or None)
        self._definitions = definitions
        self._found: dict[str, EffectiveValue] = {}

    def of(self, key: str) -> EffectiveValue:
        """Return the effective value of a flag. Raises KeyError if its definition is not there."""
        if key not in self._found:
            self._found[key] = self._decide(self._definitions[key])
        return self._found[key]

    def _decide(self, definition: Definition) -> EffectiveValue:
        own = self._without_prerequisites(definition)
        if own.rule in BEFORE_PREREQUISITES:
            return own
        unsure: list[str] = []
        for key in definition.prerequisites:
            if key not in self._definitions:
                return _off_because(missing(key), definition)
            needed = self.of(key)
            if needed.depends_on_user:
                unsure.append(key)
            elif why := unmet(definition.wants, key, needed):
                return _off_because(why, definition)
        if not unsure or not (own.enabled or own.depends_on_user):
            return own
        enabled = own.enabled and all(_may_be_met(definition.wants, key, self.of(key)) for key in unsure)
        serves = own.serves if enabled else served(definition, enabled=False)
        if own.depends_on_user:
            percentage = own.rollout_percentage if enabled else None
            shares = own.shares if enabled else frozenset()
            is_split = own.is_split and enabled
            return replace(
                own, enabled=enabled, rollout_percentage=percentage, serves=serves, is_split=is_split, shares=shares
            )
        want = definition.wants.get(unsure[0], IS_ON).words
        detail = f"It depends on the user whether the prerequisite {unsure[0]!r} is {want}."
        return EffectiveValue(enabled, Rule.PREREQUISITE, detail, depends_on_user=True, serves=serves)

    def _without_prerequisites(self, definition: Definition) -> EffectiveValue:
        alone = replace(definition, prerequisites=()) if definition.prerequisites else definition
        try:
            decision = evaluate(alone, self._organization, self._context, {})
        except TargetingKeyMissing:
            percentage = definition.threshold * 100 / BUCKETS
            detail = f"The rollout of {percentage:g} % decides for each user."
            return EffectiveValue(
                enabled=True,
                rule=Rule.ROLLOUT,
                detail=detail,
                depends_on_user=True,
                rollout_percentage=percentage,
                serves=self._where_on(definition),
            )
        except UnknownHashVersion as error:
            off = served(definition, enabled=False)
            return EffectiveValue(enabled=False, rule=Rule.ROLLOUT, detail=str(error), depends_on_user=True, serves=off)
        value = EffectiveValue(
            decision.enabled,
            decision.rule,
            _detail_of(decision),
            depends_on_user=decision.is_left_to_rollout and _splits_users(definition),
            has_targeting_rules=bool(definition.targeting_rules),
            serves=decision.served,
            is_split=decision.reason is Reason.SPLIT,
            shares=_shares_of_users(definition) if decision.is_left_to_rollout else frozenset(),
        )
        is_locked = decision.state is not None and decision.state.locked
        if value.rule not in AFTER_THE_WHITELIST or is_locked:
            return value
        is_as_whitelisted = value.enabled and value.serves == self._where_on(definition)
        by_whitelist = bool(definition.whitelist) and not is_as_whitelisted
        by_user = value.depends_on_user or by_whitelist or self._is_by_user(definition, decision)
        return replace(value, depends_on_user=by_user)

    def _where_on(self, definition: Definition) -> Served:
        """What the flag serves where neither a targeting rule nor off decides, as for a whitelisted user."""
        state = self._organization.states.get(definition.id)
        choice = {} if state is None else {"number": state.variant, "custom": state.custom}
        default, is_locked = "", state is not None and state.locked
        with suppress(UnknownHashVersion):
            default = share_of(definition, {}, "", self._organization, is_locked=is_locked, **choice).variant
        return served(definition, enabled=True, default=default, **choice)

    def _is_by_user(self, definition: Definition, decision: Decision) -> bool:
        """Whether a targeting rule before the one that decided can match some users of the organization."""
        for rule in definition.targeting_rules:
            if rule.depends_on_user and rule.can_match(self._organization):
                return True
            if decision.rule_id == rule.id:
                break
        return False


def off_for_everybody(key: str, definitions: Mapping[str, Definition]) -> EffectiveValue | None:
    """Return why a flag is off in every organization and environment: it, or a flag that it needs, is stopped.

    A stopped flag is archived or killed. Returns None if the flag is on somewhere, or if organizations, environments,
    users or rollouts decide. `definitions` is as for `EffectiveValues`.
    """
    return _why_off(key, definitions, {})


def _why_off(
    key: str, definitions: Mapping[str, Definition], found: dict[str, EffectiveValue | None]
) -> EffectiveValue | None:
    """`found` keeps the results, so that each flag is visited once."""
    if key in found:
        return found[key]
    definition = definitions[key]
    cause: EffectiveValue | None = None
    stopped = served(definition, enabled=False, is_stopped=True)
    if definition.archived:
        cause = EffectiveValue(enabled=False, rule=Rule.ARCHIVED, detail="The flag is archived.", serves=stopped)
    elif definition.killed:
        cause = EffectiveValue(enabled=False, rule=Rule.KILLED, detail="The flag is killed.", serves=stopped)
    else:
        for needed in definition.prerequisites:
            if needed not in definitions:
                cause = _off_because(missing(needed), definition)
            elif (below := _why_off(needed, definitions, found)) is not None:
                why = unmet(definition.wants, needed, below)
                cause = _off_because(why, definition) if why else None
            if cause is not None:
                break
    found[key] = cause
    return cause


def _off_because(why: str, definition: Definition) -> EffectiveValue:
    off = served(definition, enabled=False)
    return EffectiveValue(enabled=False, rule=Rule.PREREQUISITE, detail=why, serves=off)


def _may_be_met(wants: Wants, key: str, needed: EffectiveValue) -> bool:
    """Whether a prerequisite that depends on the user is what is wanted, for the user of an effective value.

    A rollout has users inside and outside, and a default rollout has users with each of its variants.
    """
    if needed.rollout_percentage is not None or wants.get(key, IS_ON).variant in needed.shares:
        return True
    return not unmet(wants, key, needed)


def _detail_of(decision: Decision) -> str:
    """Return the sentences of the rule that decided and of the default rollout."""
    told = (step.detail for step in decision.steps if step.rule in (decision.rule, Rule.DEFAULT_ROLLOUT))
    return " ".join(told)


def _splits_users(definition: Definition) -> bool:
    """Whether the default rollout tells users of one organization from each other."""
    return definition.default_rollout is not None and not definition.default_rollout.is_of_place


def _shares_of_users(definition: Definition) -> frozenset[str]:
    """Return the variants that the default rollout shares out among targeting keys."""
    rollout = definition.default_rollout
    if rollout is None or rollout.by != TARGETING_KEY:
        return frozenset()
    return frozenset(variant for variant, _ in rollout.ranges)
