"""The flags of one organization as a file for flagd and for OpenFeature's in-process providers.

https://flagd.dev/schema/v0/flags.json has the format. The organization is known, so everything that depends on it alone
is decided here: its value and locks, its place in the tree, environment overrides, and the rollouts of organizations.
What users decide becomes targeting in JSON Logic. A flag that cannot be said exactly is left out and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flags.definitions.loader import load_definitions
from flags.evaluation.context_loader import load_context, organization_attributes_read
from flags.evaluation.default_rollout import leaves_choice
from flags.evaluation.effective_value import EffectiveValues
from flags.evaluation.engine import UNDECIDED, Definition, EvaluationContext, OrganizationContext, evaluate
from flags.evaluation.reasons import Unit
from flags.evaluation.rollout import BUCKETS, salt_of_default_rollout
from flags.moving import json_logic
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.json_logic import Logic
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.rule_rollouts import ANCESTOR, ORGANIZATION, RuleRollout, unit_bytes
from flags.targeting.rules import TargetingRule
from flags.values.served import Served, served
from flags.values.types import FlagType

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
NO_VARIANT = "targeting-key-missing"
"""No variant of any flag. flagd answers with an error for it, as Flagsite does without a targeting key."""
PAIR, TEXT = 10, 11
"""The versions of the hash that flagd has today (`flags.evaluation.hashes`)."""
INSIDE, OUTSIDE = "inside", "outside"
"""What `fractional` says of a user where the flag's percentage has shares inside."""
NO_ROLLOUT = RuleRollout(0)
"""In place of the rollout of a targeting rule, for that of the flag."""
NamedRange = tuple[str | None, int]
"""A variant, None for no value, and the end of its buckets."""
Result = str | dict[str, Any] | None
"""What JSON Logic returns: a variant, an expression, or null for no value."""


@dataclass(frozen=True, slots=True)
class FlagdExport:
    """The file, and the flags that are not in it."""

    document: Mapping[str, Any]
    not_exported: Sequence[Remark]


def export(organization_id: int, environment: str | None = None) -> FlagdExport:
    """Return the flags of an organization that are not archived as a file for flagd. Raises OrganizationNotFound.

    Args:
        organization_id: the organization for whose users flagd answers.
        environment: the environment whose overrides hold; none of them without it.
    """
    definitions = load_definitions()
    organization = load_context(organization_id, organization_attributes_read(definitions.values()))
    return of_organization(organization, environment, definitions)


def of_organization(
    organization: OrganizationContext, environment: str | None, definitions: Mapping[str, Definition]
) -> FlagdExport:
    """The same for an organization and definitions that were loaded."""
    place = _Place(organization, environment or None, definitions)
    flags: dict[str, Any] = {}
    not_exported: list[Remark] = []
    for key, definition in definitions.items():
        if definition.archived:
            continue
        try:
            flags[key] = _FlagdFlag(place, definition).content()
        except NoEqual as reason:
            not_exported.append(Remark(key, reason.issue, reason.detail))
    metadata = {"flagSetId": organization.keys[-1]}
    remarks = [{"flag": each.flag, "code": each.issue.value, "detail": each.detail} for each in not_exported]
    document = {"$schema": SCHEMA, "flags": flags, "metadata": metadata, "notExported": remarks}
    return FlagdExport(document, not_exported)


class _Place:
    """The organization and the environment of an export, with all definitions."""

    def __init__(
        self, organization: OrganizationContext, environment: str | None, definitions: Mapping[str, Definition]
    ) -> None:
        self.organization = organization
        self.context = EvaluationContext(None, environment)
        self.definitions = definitions
        self.values = EffectiveValues(organization, environment, definitions)


@dataclass
class _FlagdFlag:
    """One flag in the making. `used` has the values of the variants that it names."""

    place: _Place
    definition: Definition
    used: dict[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return the flag in flagd's form. Raises NoEqual."""
        if not self.place.values.of(self.definition.key).depends_on_user:
            default, targeting = self._of_everybody(), None
        else:
            default, targeting = self._of_users()
        variants = {**self._all_variants(), **self.used}
        if not variants:
            raise NoEqual(Issue.VALUE, "The flag has no variants, and flagd needs one.")
        if any(isinstance(value, list) for value in variants.values()):
            raise NoEqual(Issue.VALUE, "A value is an array, and the objects of flagd are none.")
        logic = {} if targeting is None else {"targeting": targeting}
        return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **logic}

    def _all_variants(self) -> dict[str, Any]:
        if self.definition.type == FlagType.BOOLEAN:
            return {"on": True, "off": False}
        return {variant.key: variant.value for variant in self.definition.variants}

    def _of_everybody(self) -> str | None:
        """Return the variant of a flag whose value no user changes."""
        place = self.place
        try:
            decision = evaluate(self.definition, place.organization, place.context, place.definitions)
        except UNDECIDED as error:
            raise NoEqual(Issue.UNIT, error.detail) from error
        return self._named(decision.served)

    def _of_users(self) -> tuple[str | None, dict[str, Any]]:
        """Return the variant for who has none by targeting, and the targeting."""
        for key in self.definition.prerequisites:
            if self.place.values.of(key).depends_on_user:
                detail = f"Users decide whether the prerequisite {key!r} is on, and flagd has no prerequisites."
                raise NoEqual(Issue.PREREQUISITE, detail)
        chain = self._chain()
        results = chain[1::2]
        default = None if None in results or self.definition.type != FlagType.BOOLEAN else "off"
        return default, {"if": [*chain[:-2], results[-1]] if len(chain) > 2 else chain}  # noqa: PLR2004 - a pair

    def _chain(self) -> list[Any]:
        """Return conditions, each before what it serves to those for whom it is the first that is true."""
        forced = self.definition.environments.get(self.place.context.environment or "")
        if forced is not None:  # before whitelist, rules and percentage; only the default rollout splits users then
            return [True, self._on() if forced else self._own(enabled=False)]
        chain: list[Any] = []
        if self.definition.whitelist:
            chain += [json_logic.one_of(sorted(self.definition.whitelist)), self._on()]
        for rule in self.definition.targeting_rules:
            condition = self._condition(rule)
            if condition is not False:
                chain += [condition, self._served_by(rule)]
            if condition is True:  # for everybody who is left
                break
        else:
            chain += [True, self._last()]
        return chain

    def _condition(self, rule: TargetingRule) -> Logic:
        parts = [json_logic.clause(clause, self.place.organization) for clause in rule.clauses]
        if rule.rollout is not None and rule.rollout.by == TARGETING_KEY:
            parts.append(json_logic.has_user())
        elif rule.rollout is not None and not rule.rollout.reads:
            parts.append(bool(rule.rollout.unit({}, "", self.place.organization)))
        return json_logic.both(parts)

    def _served_by(self, rule: TargetingRule) -> Result:
        """Return what a targeting rule serves to those whom it matches."""
        if rule.rollout is not None:
            return self._share_of_rule(rule.rollout)
        enabled = True if self.definition.type != FlagType.BOOLEAN else bool(rule.enabled)
        return self._named(served(self.definition, enabled=enabled, key=rule.variant))

    def _share_of_rule(self, rollout: RuleRollout) -> Result:
        if rollout.reads:
            raise NoEqual(Issue.UNIT, f"The rollout counts the attribute {rollout.by!r}.")
        ends = self._ends(rollout)
        ranges = [(self._named(served(self.definition, enabled=on, key=key)), end) for on, key, end in ends]
        if rollout.by == TARGETING_KEY:
            return self._fractional(ranges, rollout)
        return self._by_organization(rollout.unit({}, "", self.place.organization), ranges, rollout)

    def _ends(self, rollout: RuleRollout) -> list[tuple[bool, str, int]]:
        """Return on or off, the variant if it is a certain one, and the end of its buckets, for each range."""
        if self.definition.type != FlagType.BOOLEAN:
            return [(True, key, end) for key, end in rollout.ranges]
        return [(True, "", rollout.threshold), (False, "", BUCKETS)]

    def _last(self) -> Result:
        """Return what the organization's value and the rollout of the flag say."""
        definition, organization = self.definition, self.place.organization
        state = organization.states.get(definition.id)
        on, off = self._on(), self._own(enabled=False)
        if not (definition.enabled if state is None else state.enabled) or definition.threshold == 0:
            return off
        if definition.threshold == BUCKETS:
            return on
        ranges: list[tuple[Any, int]] = [(on, definition.threshold), (off, BUCKETS)]
        if definition.unit == Unit.TARGETING_KEY:
            share = self._fractional(ranges, NO_ROLLOUT) if isinstance(on, str | None) else self._nested(on, off)
            return {"if": [json_logic.has_user(), share, NO_VARIANT]}
        level = definition.level if definition.unit == Unit.ANCESTOR else None
        by = ANCESTOR if definition.unit == Unit.ANCESTOR else ORGANIZATION
        unit = RuleRollout(0, by, level).unit({}, "", organization)
        return self._by_organization(unit, ranges, NO_ROLLOUT)

    def _nested(self, on: Result, off: Result) -> Result:
        """Return the share of the flag's percentage, inside which the default rollout has shares of its own."""
        threshold = self.definition.threshold
        side = self._fractional([(INSIDE, threshold), (OUTSIDE, BUCKETS)], NO_ROLLOUT)
        return {"if": [{"===": [side, INSIDE]}, on, off]}

    def _own(self, *, enabled: bool) -> str | None:
        """Return the variant of the organization for on or off."""
        return self._named(served(self.definition, enabled=enabled, **self._choice))

    @property
    def _choice(self) -> dict[str, Any]:
        """What the organization has chosen, as `served` takes it."""
        state = self.place.organization.states.get(self.definition.id)
        return {} if state is None else {"number": state.variant, "custom": state.custom}

    def _on(self) -> Result:
        """Return what is served where the flag is on and no targeting rule decides."""
        definition, organization = self.definition, self.place.organization
        state, rollout = organization.states.get(definition.id), definition.default_rollout
        is_locked = state is not None and state.locked
        default = self._own(enabled=True)
        if rollout is None or is_locked or not leaves_choice(definition, **self._choice):
            return default
        if rollout.reads:
            raise NoEqual(Issue.UNIT, f"The default rollout counts the attribute {rollout.by!r}.")
        if rollout.salt is None:
            rollout = replace(rollout, salt=salt_of_default_rollout(definition.salt))
        ranges = [(self._named(served(definition, enabled=True, default=key)), end) for key, end in rollout.ranges]
        if rollout.by == TARGETING_KEY:
            return {"if": [json_logic.has_user(), self._fractional(ranges, rollout), default]}
        unit = rollout.unit({}, "", organization)
        return self._by_organization(unit, ranges, rollout) if unit else default

    def _by_organization(self, unit: str, ranges: Sequence[tuple[Result, int]], rollout: RuleRollout) -> Result:
        definition = self.definition
        try:
            formula = rollout.bucketing(definition.salt, definition.key, definition.hash_version)
        except UNDECIDED as error:
            raise NoEqual(Issue.BUCKETS, error.detail) from error
        number = formula.bucket(unit_bytes(unit))
        return next(variant for variant, end in ranges if number < end)

    def _fractional(self, ranges: Sequence[NamedRange], rollout: RuleRollout) -> Result:
        """Return the shares of users, if flagd counts with the formula of the flag or of the rollout."""
        starts = [0, *(end for _, end in ranges)]
        taken = [(key, end - start) for (key, end), start in zip(ranges, starts, strict=False) if end > start]
        if len(taken) == 1:
            return taken[0][0]
        shares = [[key, size] for key, size in taken]
        definition = self.definition
        salt = definition.salt if rollout.salt is None else rollout.salt
        version = definition.hash_version if rollout.hash_version is None else rollout.hash_version
        if any(key is None for key, _ in taken):
            raise NoEqual(Issue.VALUE, "A share of the users gets no value, and each share of flagd has one.")
        if version == TEXT:
            return {"fractional": [{"cat": [salt, json_logic.USER]}, *shares]}
        if version == PAIR and salt == definition.key:
            return {"fractional": shares}
        detail = (
            f"flagd counts users by another formula than hash version {version}, so other users would "
            f"get it. Hash version {TEXT} is flagd's."
        )
        raise NoEqual(Issue.BUCKETS, detail)

    def _named(self, found: Served) -> str | None:
        """Return the key of a variant, and keep its value. None for no value."""
        if not found.variant:
            return None
        key = found.variant
        others = {**self._all_variants(), **self.used}
        while key in others and others[key] != found.value:
            key = f"{key}-value"  # a custom value beside a variant called custom
        self.used[key] = found.value
        return key
