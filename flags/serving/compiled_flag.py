"""One flag made ready for evaluation in one environment; what it says depends on the organization's value alone.

`flags.evaluation.engine.evaluate` is the rule. A property test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.default_rollout import bucketing_of, leaves_choice
from flags.evaluation.engine import Definition
from flags.evaluation.reasons import STOPPED, Rule, Unit
from flags.evaluation.rollout import BUCKETS, bucketing
from flags.evaluation.wants import IS_ON, Want
from flags.serving.compiled_rules import (
    CompiledRules,
    DefaultRolloutRules,
    FixedRules,
    OrganizationRolloutRules,
    PrerequisiteRules,
    RolloutRules,
    Step,
    StepwiseRules,
    TargetingRules,
    WhitelistRules,
    is_met,
)
from flags.serving.compiled_targeting import CompiledRollout, CompiledTargeting, CompiledWeights, Outcome
from flags.serving.packed_states import LOCKED, ON, PackedRow, PackedStates, variant_of
from flags.serving.resolution import FailedResolution, Resolution, SplitResolution
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import TargetingRule
from flags.values.served import Served, served
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED, is_custom


class Own(NamedTuple):
    """An organization's value of a flag: the row, None where nobody set it, and the variant or custom value in it."""

    row: PackedRow | None
    number: int
    custom: Any

    @property
    def is_locked(self) -> bool:
        """Whether neither whitelist, nor targeting rules, nor the rollout count."""
        return self.row is not None and bool(self.row[2] & LOCKED)


NO_VALUE = Own(None, BY_ENABLED, None)


class Split(NamedTuple):
    """The default rollout of a flag: its variants, and the arguments of `DefaultRolloutRules`.

    If the hash version is unknown, there are no variants but the error.
    """

    variants: Sequence[str]
    unknown: FailedResolution | None
    arguments: tuple[RuleRollout, Callable[[bytes], int], bytes, Sequence[int], Sequence[int]]

    @classmethod
    def of(cls, definition: Definition) -> Split | None:
        """Return the default rollout of a flag, if it has one."""
        rollout = definition.default_rollout
        if rollout is None or definition.type == FlagType.BOOLEAN:
            return None
        try:
            counted = bucketing_of(definition, rollout)
        except UnknownHashVersion as error:
            failed = FailedResolution(definition.key, UnknownHashVersion, str(error))
            return cls((), failed, (rollout, lambda _: 0, b"", (), (0,)))
        places: dict[str, int] = {}
        at = [places.setdefault(variant, len(places)) for variant, _ in rollout.ranges]
        limits = [counted.limit(end) for _, end in rollout.ranges]
        return cls(list(places), None, (rollout, counted.hash, counted.prefix, limits, at))


NO_FLAG = 0
"""The id in place of a flag that does not exist."""


class CompiledFlag:
    """A flag's definition in one environment.

    `all_prerequisites` has every flag that it needs, also by way of others, in the order in which they are evaluated;
    the environment fills it (`flags.serving.compiled_environment`). Compiled rules are shared by all organizations with
    the same value, and kept for at most `most` different values. A flag that is not `is_named` occurs in no error.
    """

    __slots__ = (
        "_is_forced_on", "_most", "_resolutions", "_rules", "_split", "_targeting",
        "all_prerequisites", "definition", "fixed", "missing",
    )  # fmt: skip

    def __init__(self, definition: Definition, environment: str, most: int, *, is_named: bool = True) -> None:
        self.definition = definition
        by_targeting_key = definition.unit == Unit.TARGETING_KEY
        need = (
            "a targeting key, and the request has none"
            if by_targeting_key
            else "an organization, and the request names none"
        )
        flag = f"the flag {definition.key!r}" if is_named else "a flag that this flag needs"
        why = f"The rollout of {flag} needs {need}."
        self.missing = FailedResolution(definition.key, TargetingKeyMissing, why)
        self._resolutions: dict[tuple[Rule, bool, int], Resolution] = {}
        self._is_forced_on = False
        self._split = Split.of(definition)
        self.fixed = self._fixed(environment)
        self.all_prerequisites: list[CompiledFlag] = []
        self._rules: dict[PackedRow | None, CompiledRules] = {}
        self._targeting: CompiledTargeting | None = None
        self._most = most

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The flags that are evaluated before this flag. An archived or killed flag is off without them."""
        return () if self.definition.archived or self.definition.killed else self.definition.prerequisites

    def rules(self, states: PackedStates) -> CompiledRules:
        """The flag's rules in organizations with these flag states.

        A prerequisite that is off for everybody turns the flag off at once, whatever the other prerequisites need.
        """
        own = self.own_rules(states)
        if not self.all_prerequisites:
            return own
        if self.wants_others:
            return self._stepwise_rules(states)
        needed = [flag.own_rules(states) for flag in self.all_prerequisites]
        same_for_all = {rules.resolution.enabled for rules in needed if isinstance(rules, FixedRules)}
        refused = self.refused()
        if False in same_for_all:
            return FixedRules(refused)
        others = [rules for rules in needed if not (isinstance(rules, FixedRules) and rules.resolution.enabled)]
        return PrerequisiteRules(others, refused, own) if others else own

    @property
    def wants_others(self) -> bool:
        """Whether it, or a flag that it needs, wants a prerequisite to be something else than on."""
        return any(flag.definition.wants for flag in (self, *self.all_prerequisites))

    def _stepwise_rules(self, states: PackedStates) -> CompiledRules:
        """The same where some prerequisite has to be something else than on."""
        flags = [*self.all_prerequisites, self]
        places = {flag.definition.key: place for place, flag in enumerate(flags)}
        steps: list[Step] = []
        same_for_all: dict[int, Resolution] = {}
        for place, flag in enumerate(flags):
            own, refused = flag.own_rules(states), flag.refused()
            needs = [(places[key], flag.want_of(flags[places[key]])) for key in flag.prerequisites]
            if any(at in same_for_all and not is_met(want, same_for_all[at]) for at, want in needs):
                own, needs = FixedRules(refused), []
            needs = [need for need in needs if need[0] not in same_for_all]
            if isinstance(own, FixedRules) and not needs and own.resolution.error is None:
                same_for_all[place] = own.resolution
            steps.append((own, refused, needs))
        last = steps[-1]
        return StepwiseRules(steps) if last[2] else last[0]

    def want_of(self, needed: CompiledFlag) -> Want | None:
        """What a prerequisite has to be; None if there is no such flag."""
        return None if needed.definition.id == NO_FLAG else self.definition.wants.get(needed.definition.key, IS_ON)

    def refused(self) -> Resolution:
        """The resolution where a prerequisite is not as it must be."""
        return self._resolution(Rule.PREREQUISITE, enabled=False)

    def own_rules(self, states: PackedStates) -> CompiledRules:
        """The same where all prerequisites are on."""
        if self.fixed is not None:
            return self.fixed
        row = states.row(self.definition.id)
        found = self._rules.get(row)
        if found is None:
            if len(self._rules) >= self._most:
                self._rules.clear()
            number = BY_ENABLED if row is None else variant_of(row)
            found = self._compile_with_default_rollout(Own(row, number, states.custom.get(number)))
            if not is_custom(number):  # a custom value may be long, and few organizations have the same
                self._rules[row] = found
        return found

    def _fixed(self, environment: str) -> FixedRules | None:
        """The rules of a flag that is decided before anything else counts; None for any other flag."""
        definition = self.definition
        if definition.archived:
            return FixedRules(self._resolution(Rule.ARCHIVED, enabled=False))
        if definition.killed:
            return FixedRules(self._resolution(Rule.KILLED, enabled=False))
        forced = definition.environments.get(environment)
        if forced and definition.type != FlagType.BOOLEAN:  # on is the variant of the organization
            self._is_forced_on = True
            return None
        return None if forced is None else FixedRules(self._resolution(Rule.ENVIRONMENT, enabled=forced))

    def _compile_with_default_rollout(self, own: Own) -> CompiledRules:
        others = self._compile(own)
        if self._split is None or own.is_locked:
            return others
        if isinstance(others, FixedRules) and not isinstance(others.resolution, SplitResolution):
            return others
        return DefaultRolloutRules(others, *self._split.arguments)

    def _compile(self, own: Own) -> CompiledRules:
        if self._is_forced_on:
            return FixedRules(self._resolution(Rule.ENVIRONMENT, own, enabled=True))
        others = self._compile_others(own)
        if own.is_locked:
            return others
        if self.definition.targeting_rules:
            others = TargetingRules(self.targeting, others)
        whitelist = self.definition.whitelist
        if not whitelist:
            return others
        return WhitelistRules(whitelist, self._resolution(Rule.WHITELIST, own, enabled=True), others)

    @property
    def has_targeting(self) -> bool:
        """Whether there are organizations in which its targeting rules are asked."""
        return bool(self.definition.targeting_rules) and self.fixed is None and not self._is_forced_on

    @property
    def targeting(self) -> CompiledTargeting:
        """Its targeting rules."""
        if self._targeting is None:
            rules = self.definition.targeting_rules
            self._targeting = CompiledTargeting(rules, [self._outcome(rule) for rule in rules])
        return self._targeting

    def _outcome(self, rule: TargetingRule) -> Outcome:
        """What a targeting rule says."""
        key = self.definition.key
        if rule.rollout is None:
            enabled = bool(rule.enabled) or self.definition.type != FlagType.BOOLEAN
            return self._by_targeting_rule(rule, enabled=enabled)
        try:
            counted = rule.rollout.bucketing(self.definition.salt, key, self.definition.hash_version)
        except UnknownHashVersion as error:
            failed = FailedResolution(key, UnknownHashVersion, str(error))
            return CompiledRollout(rule.rollout, lambda _: 0, b"", 0, failed, failed)
        if self.definition.type != FlagType.BOOLEAN:
            limits = [counted.limit(end) for _, end in rule.rollout.ranges]
            by_key = {one: self._by_targeting_rule(rule, enabled=True, key=one) for one, _ in rule.rollout.ranges}
            found = [by_key[one] for one, _ in rule.rollout.ranges]
            return CompiledWeights(rule.rollout, counted.hash, counted.prefix, limits, found)
        on, off = (self._by_targeting_rule(rule, enabled=enabled) for enabled in (True, False))
        limit = counted.limit(rule.rollout.threshold)
        return CompiledRollout(rule.rollout, counted.hash, counted.prefix, limit, on, off)

    def _by_targeting_rule(self, rule: TargetingRule, *, enabled: bool, key: str = "") -> Resolution:
        serves = served(self.definition, enabled=enabled, key=key or rule.variant)
        is_left = enabled and leaves_choice(self.definition, key=key or rule.variant)
        return self._resolved(Rule.TARGETING, serves, enabled=enabled, rule_id=rule.id, is_left=is_left)

    def _compile_others(self, own: Own) -> CompiledRules:
        """The rules for everybody who is not on the whitelist."""
        definition, row = self.definition, own.row
        enabled = definition.enabled if row is None else bool(row[2] & ON)
        if not enabled or own.is_locked or definition.threshold >= BUCKETS:
            rule = Rule.DEFAULT if row is None else Rule.ORGANIZATION
            return FixedRules(self._by_value(rule, own, enabled=enabled))
        if definition.threshold == 0:
            return FixedRules(self._by_value(Rule.ROLLOUT, own, enabled=False))
        try:
            return self._compile_rollout(own)
        except UnknownHashVersion as error:
            return FixedRules(FailedResolution(definition.key, UnknownHashVersion, str(error)))

    def _compile_rollout(self, own: Own) -> CompiledRules:
        """The rules of the bucket. Raises UnknownHashVersion."""
        definition = self.definition
        counted = bucketing(definition.salt, definition.key, definition.hash_version)
        rollout = (
            counted.hash,
            counted.prefix,
            counted.limit(definition.threshold),
            self._by_value(Rule.ROLLOUT, own, enabled=True),
            self._by_value(Rule.ROLLOUT, own, enabled=False),
            self.missing,
        )
        if definition.unit == Unit.TARGETING_KEY:
            return RolloutRules(*rollout)
        return OrganizationRolloutRules(*rollout, definition.level)

    def _by_value(self, rule: Rule, own: Own, *, enabled: bool) -> Resolution:
        """The resolution by a rule that the value counts for, with the change that set it where there is one."""
        found = self._resolution(rule, own, enabled=enabled)
        return found if own.row is None else found.with_change(own.row)

    def _resolution(self, rule: Rule, own: Own = NO_VALUE, *, enabled: bool) -> Resolution:
        """The resolution by a rule. Those of custom values are not kept, as there may be many."""
        number = own.number if enabled else BY_ENABLED
        found = self._resolutions.get((rule, enabled, number))
        if found is None:
            is_stopped = rule in STOPPED
            serves = served(self.definition, enabled=enabled, is_stopped=is_stopped, number=number, custom=own.custom)
            is_left = enabled and leaves_choice(self.definition, number=number, custom=own.custom)
            found = self._resolved(rule, serves, enabled=enabled, is_left=is_left)
            if not is_custom(number):
                self._resolutions[rule, enabled, number] = found
        return found

    def _resolved(
        self, rule: Rule, serves: Served, *, enabled: bool, rule_id: str = "", is_left: bool = False
    ) -> Resolution:
        """The resolution that serves this, with all that the default rollout may choose if the choice is left to it."""
        definition, split = self.definition, self._split
        if split is None or not is_left:
            return Resolution.by_rule(definition, rule, serves, enabled=enabled, rule_id=rule_id)
        found = SplitResolution.by_rule(definition, rule, serves, enabled=enabled, rule_id=rule_id)
        shares = [(key, served(definition, enabled=True, default=key)) for key in split.variants]
        found.shares = (
            [split.unknown]
            if split.unknown is not None
            else [
                Resolution.by_rule(
                    definition, rule, share, enabled=True, rule_id=rule_id, is_split=share.variant == key
                )
                for key, share in shares
            ]
        )
        return found
