"""One flag made ready for evaluation in one environment; what it says depends on the organization's value alone.

`flags.evaluation.engine.evaluate` is the rule. A property test compares both.
"""

from __future__ import annotations

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.engine import Definition, Rule, Unit
from flags.evaluation.rollout import BUCKETS, bucketing
from flags.serving.compiled_rules import (
    CompiledRollout,
    CompiledRule,
    CompiledRules,
    FixedRules,
    OrganizationRolloutRules,
    PrerequisiteRules,
    RolloutRules,
    TargetingRules,
    WhitelistRules,
)
from flags.serving.packed_states import LOCKED, ON, PackedRow, PackedStates
from flags.serving.resolution import FailedResolution, Resolution
from flags.targeting.rules import TargetingRule


class CompiledFlag:
    """A flag's definition in one environment.

    `all_prerequisites` has every flag that it needs, also by way of others, in the order in which they are evaluated;
    the environment fills it (`flags.serving.compiled_environment`). Compiled rules are shared by all organizations with
    the same value, and kept for at most `most` different values. A flag that is not `is_named` occurs in no error.
    """

    __slots__ = (
        "_most", "_resolutions", "_rules", "_targeting",
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
        self._resolutions: dict[tuple[Rule, bool], Resolution] = {}
        self.fixed = self._fixed(environment)
        self.all_prerequisites: list[CompiledFlag] = []
        self._rules: dict[PackedRow | None, CompiledRules] = {}
        self._targeting: list[CompiledRule] | None = None
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
        needed = [flag.own_rules(states) for flag in self.all_prerequisites]
        same_for_all = {rules.resolution.enabled for rules in needed if isinstance(rules, FixedRules)}
        refused = self._resolution(Rule.PREREQUISITE, enabled=False)
        if False in same_for_all:
            return FixedRules(refused)
        others = [rules for rules in needed if not (isinstance(rules, FixedRules) and rules.resolution.enabled)]
        return PrerequisiteRules(others, refused, own) if others else own

    def own_rules(self, states: PackedStates) -> CompiledRules:
        """The same where all prerequisites are on."""
        if self.fixed is not None:
            return self.fixed
        row = states.row(self.definition.id)
        found = self._rules.get(row)
        if found is None:
            if len(self._rules) >= self._most:
                self._rules.clear()
            found = self._rules[row] = self._compile(row)
        return found

    def _fixed(self, environment: str) -> FixedRules | None:
        """The rules of a flag that is decided before anything else counts; None for any other flag."""
        definition = self.definition
        if definition.archived:
            return FixedRules(self._resolution(Rule.ARCHIVED, enabled=False))
        if definition.killed:
            return FixedRules(self._resolution(Rule.KILLED, enabled=False))
        forced = definition.environments.get(environment)
        return None if forced is None else FixedRules(self._resolution(Rule.ENVIRONMENT, enabled=forced))

    def _compile(self, row: PackedRow | None) -> CompiledRules:
        others = self._compile_others(row)
        if _is_locked(row):
            return others
        if self.definition.targeting_rules:
            others = TargetingRules(self._targeting_rules(), others)
        whitelist = self.definition.whitelist
        if not whitelist:
            return others
        return WhitelistRules(whitelist, self._resolution(Rule.WHITELIST, enabled=True), others)

    def _targeting_rules(self) -> list[CompiledRule]:
        """The targeting rules, which are the same for every value of an organization."""
        if self._targeting is None:
            self._targeting = [
                ([clause.test for clause in rule.clauses], self._outcome(rule))
                for rule in self.definition.targeting_rules
            ]
        return self._targeting

    def _outcome(self, rule: TargetingRule) -> Resolution | CompiledRollout:
        """What a targeting rule says."""
        key = self.definition.key
        on, off = (
            Resolution.by_rule(self.definition, Rule.TARGETING, enabled=enabled, rule_id=rule.id)
            for enabled in (True, False)
        )
        if rule.rollout is None:
            return on if rule.enabled else off
        try:
            counted = bucketing(self.definition.salt, key, self.definition.hash_version)
        except UnknownHashVersion as error:
            failed = FailedResolution(key, UnknownHashVersion, str(error))
            return CompiledRollout(rule.rollout, lambda _: 0, b"", 0, failed, failed)
        limit = counted.limit(rule.rollout.threshold)
        return CompiledRollout(rule.rollout, counted.hash, counted.prefix, limit, on, off)

    def _compile_others(self, row: PackedRow | None) -> CompiledRules:
        """The rules for everybody who is not on the whitelist."""
        definition = self.definition
        enabled = definition.enabled if row is None else bool(row[2] & ON)
        if not enabled or _is_locked(row) or definition.threshold >= BUCKETS:
            rule = Rule.DEFAULT if row is None else Rule.ORGANIZATION
            return FixedRules(self._resolution(rule, row, enabled=enabled))
        if definition.threshold == 0:
            return FixedRules(self._resolution(Rule.ROLLOUT, row, enabled=False))
        try:
            return self._compile_rollout(row)
        except UnknownHashVersion as error:
            return FixedRules(FailedResolution(definition.key, UnknownHashVersion, str(error)))

    def _compile_rollout(self, row: PackedRow | None) -> CompiledRules:
        """The rules of the bucket. Raises UnknownHashVersion."""
        definition = self.definition
        counted = bucketing(definition.salt, definition.key, definition.hash_version)
        rollout = (
            counted.hash,
            counted.prefix,
            counted.limit(definition.threshold),
            self._resolution(Rule.ROLLOUT, row, enabled=True),
            self._resolution(Rule.ROLLOUT, row, enabled=False),
            self.missing,
        )
        if definition.unit == Unit.TARGETING_KEY:
            return RolloutRules(*rollout)
        return OrganizationRolloutRules(*rollout, definition.level)

    def _resolution(self, rule: Rule, row: PackedRow | None = None, *, enabled: bool) -> Resolution:
        """The resolution by a rule, with the change that set the organization's value where there is one."""
        found = self._resolutions.get((rule, enabled))
        if found is None:
            found = self._resolutions[rule, enabled] = Resolution.by_rule(self.definition, rule, enabled=enabled)
        return found if row is None else found.with_change(row)


def _is_locked(row: PackedRow | None) -> bool:
    return row is not None and bool(row[2] & LOCKED)
