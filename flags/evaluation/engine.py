"""Whether a flag is on: one pure function, in one order, that says for each step what it found.

1. archived or killed: off, nothing beats it; 2. the environment's override; 3. a prerequisite that is off: off;
4. a whitelisted user: on; 5. the organization's state, else the flag's default: off means off; 6. the rollout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flags.errors import TargetingKeyMissing
from flags.evaluation.rollout import BUCKETS, HASH_VERSION, bucket, hash_of, hash_prefix


class Unit(StrEnum):
    """What a rollout counts."""

    TARGETING_KEY = "targetingKey"
    ORGANIZATION = "organization"
    ANCESTOR = "ancestor"


class Rule(StrEnum):
    """The steps of a decision, in their order."""

    ARCHIVED = "archived"
    KILLED = "killed"
    ENVIRONMENT = "environment"
    PREREQUISITE = "prerequisite"
    WHITELIST = "whitelist"
    ORGANIZATION = "organization"
    DEFAULT = "default"
    ROLLOUT = "rollout"


class Reason(StrEnum):
    """Why, in OpenFeature's words."""

    STATIC = "STATIC"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"


REASON_CHOICES = [reason.value for reason in Reason]
REASONS = {
    Rule.ARCHIVED: Reason.DISABLED,
    Rule.KILLED: Reason.DISABLED,
    Rule.ENVIRONMENT: Reason.TARGETING_MATCH,
    Rule.PREREQUISITE: Reason.TARGETING_MATCH,
    Rule.WHITELIST: Reason.TARGETING_MATCH,
    Rule.ORGANIZATION: Reason.TARGETING_MATCH,
    Rule.DEFAULT: Reason.STATIC,
    Rule.ROLLOUT: Reason.SPLIT,
}


@dataclass(frozen=True, slots=True)
class Definition:
    """What a flag's evaluation needs of its definition. `threshold` is the first bucket that is out, of 100,000."""

    id: int
    key: str
    enabled: bool = False
    threshold: int = BUCKETS
    salt: str = ""
    unit: Unit = Unit.TARGETING_KEY
    level: int | None = None
    whitelist: frozenset[str] = frozenset()
    environments: Mapping[str, bool] = field(default_factory=dict)
    prerequisites: tuple[str, ...] = ()
    archived: bool = False
    killed: bool = False
    version: int = 1
    hash_version: int = HASH_VERSION


@dataclass(frozen=True, slots=True)
class StateValue:
    """An organization's value of a flag, where it comes from, and the number of the change that set it."""

    flag_id: int
    enabled: bool
    source_id: int
    number: int


@dataclass(frozen=True, slots=True)
class OrganizationContext:
    """Where an organization stands, the root first and itself last, and its flags' states by the flags' ids.

    `NO_ORGANIZATION` is for an evaluation without one.
    """

    ids: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    states: Mapping[int, StateValue] = field(default_factory=dict)


NO_ORGANIZATION = OrganizationContext()


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """Whom and where it is asked for."""

    targeting_key: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule found; `enabled` is None where the rule left it to the next."""

    rule: Rule
    enabled: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The value, the rule that decided, every step up to it, and the organization's state where it has one."""

    enabled: bool
    rule: Rule
    steps: tuple[Step, ...]
    state: StateValue | None

    @property
    def reason(self) -> Reason:
        """Why, in OpenFeature's words."""
        return REASONS[self.rule]


def evaluate(
    definition: Definition,
    place: OrganizationContext,
    context: EvaluationContext,
    definitions: Mapping[str, Definition],
) -> Decision:
    """Decide a flag for a user of an organization; `definitions` has the prerequisites, by key, without a cycle.

    Raises TargetingKeyMissing, with the steps so far, where a rollout has to know whom it is asked for and isn't told;
    UnknownHashVersion where its formula is not known here.
    """
    return _decide(_Asked(definition, place, context, definitions, {}))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question, as every rule gets it."""

    definition: Definition
    place: OrganizationContext
    context: EvaluationContext
    definitions: Mapping[str, Definition]
    decided: dict[str, Decision]
    """Prerequisites that were met before, by another way: each is decided once."""


def _decide(asked: _Asked) -> Decision:
    steps: list[Step] = []
    for rule, look in RULES:
        try:
            enabled, detail = look(asked)
        except TargetingKeyMissing as error:
            error.steps = steps
            raise
        steps.append(Step(rule, enabled, detail))
        if enabled is not None:
            break
    state = asked.place.states.get(asked.definition.id)
    return Decision(bool(steps[-1].enabled), steps[-1].rule, tuple(steps), state)


Finding = tuple[bool | None, str]


def _archived(asked: _Asked) -> Finding:
    return (False, "It is archived: off for everybody.") if asked.definition.archived else (None, "It is not archived.")


def _killed(asked: _Asked) -> Finding:
    return (False, "It is killed: off for everybody.") if asked.definition.killed else (None, "It is not killed.")


def _environment(asked: _Asked) -> Finding:
    overrides, environment = asked.definition.environments, asked.context.environment
    if not overrides:
        return None, "No environment is overridden."
    if environment is None:
        return None, "No environment was named."
    if environment not in overrides:
        return None, f"The environment {environment!r} is not overridden."
    forced = overrides[environment]
    return forced, f"The environment {environment!r} forces it {_word(forced)}."


def _prerequisite(asked: _Asked) -> Finding:
    if not asked.definition.prerequisites:
        return None, "It has no prerequisites."
    for key in asked.definition.prerequisites:
        needed = asked.definitions.get(key)
        if needed is None:
            return False, f"Its prerequisite {key!r} does not exist."
        decision = asked.decided.get(key)
        if decision is None:
            decision = _decide(_Asked(needed, asked.place, asked.context, asked.definitions, asked.decided))
            asked.decided[key] = decision
        if not decision.enabled:
            return False, f"Its prerequisite {key!r} is off, by the rule {decision.rule}."
    return None, "Its prerequisites are on."


def _whitelist(asked: _Asked) -> Finding:
    if not asked.definition.whitelist:
        return None, "Nobody is whitelisted."
    if asked.context.targeting_key in asked.definition.whitelist:
        return True, f"The user {asked.context.targeting_key!r} is whitelisted."
    return None, "The user is not whitelisted."


def _organization(asked: _Asked) -> Finding:
    state = asked.place.states.get(asked.definition.id)
    if state is None:
        return None, "Nobody set it on the organization or above."
    where = "Here" if state.source_id == asked.place.ids[-1] else f"On the organization {state.source_id} above"
    found = f"{where} it was switched {_word(state.enabled)}, by change {state.number}"
    if state.enabled and asked.definition.threshold < BUCKETS:
        return None, f"{found}; the rollout decides."
    return state.enabled, f"{found}."


def _default(asked: _Asked) -> Finding:
    if asked.definition.id in asked.place.states:
        return None, "The organization's state counts, not the default."
    enabled = asked.definition.enabled
    if enabled and asked.definition.threshold < BUCKETS:
        return None, "By default it is on; the rollout decides."
    return enabled, f"By default it is {_word(enabled)}."


def _rollout(asked: _Asked) -> Finding:
    definition = asked.definition
    percent = f"{definition.threshold / 1000:g} %"
    if definition.threshold == 0:
        return False, "It is rolled out to 0 %."
    hash_of(definition.hash_version)  # whoever asks, where it is not known
    unit = rollout_unit(definition, asked.place, asked.context)
    number = bucket(hash_prefix(definition.salt, definition.key), unit.encode(), definition.hash_version)
    enabled = number < definition.threshold
    return enabled, f"{unit!r} is in bucket {number} of {BUCKETS}, {'in' if enabled else 'out of'} {percent}."


RULES = (
    (Rule.ARCHIVED, _archived),
    (Rule.KILLED, _killed),
    (Rule.ENVIRONMENT, _environment),
    (Rule.PREREQUISITE, _prerequisite),
    (Rule.WHITELIST, _whitelist),
    (Rule.ORGANIZATION, _organization),
    (Rule.DEFAULT, _default),
    (Rule.ROLLOUT, _rollout),
)


def rollout_unit(definition: Definition, place: OrganizationContext, context: EvaluationContext) -> str:
    """Whom the rollout counts: the targeting key, or the key of the organization or of its ancestor.

    An organization above the flag's level counts for itself. Raises TargetingKeyMissing.
    """
    if definition.unit == Unit.TARGETING_KEY:
        if not context.targeting_key:
            raise TargetingKeyMissing(f"The flag {definition.key!r} is rolled out by targeting key; none was sent.")
        return context.targeting_key
    if not place.keys:
        raise TargetingKeyMissing(f"The flag {definition.key!r} is rolled out by organization; none was named.")
    level = len(place.keys) - 1 if definition.level is None else min(definition.level, len(place.keys) - 1)
    return place.keys[level]


def _word(enabled: bool) -> str:
    return "on" if enabled else "off"
