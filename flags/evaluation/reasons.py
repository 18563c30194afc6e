"""The words of a decision: its rules in their order, the reasons that OpenFeature knows, and the units of rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from flags.errors import TargetingKeyMissing
from flags.evaluation.rollout import BUCKETS


class Unit(StrEnum):
    """The unit that a rollout counts."""

    TARGETING_KEY = "targetingKey"
    ORGANIZATION = "organization"
    ANCESTOR = "ancestor"


class Rule(StrEnum):
    """The rules of an evaluation, in their order."""

    ARCHIVED = "archived"
    KILLED = "killed"
    PREREQUISITE = "prerequisite"
    ENVIRONMENT = "environment"
    WHITELIST = "whitelist"
    TARGETING = "targeting"
    ORGANIZATION = "organization"
    DEFAULT = "default"
    ROLLOUT = "rollout"
    DEFAULT_ROLLOUT = "defaultRollout"
    """It never decides on or off: it chooses the variant of a flag that is on."""


class Reason(StrEnum):
    """The reason of a resolution, as OpenFeature names it."""

    STATIC = "STATIC"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DEFAULT = "DEFAULT"
    DISABLED = "DISABLED"


REASON_CHOICES = [reason.value for reason in Reason]
REASONS = {
    Rule.ARCHIVED: Reason.DISABLED,
    Rule.KILLED: Reason.DISABLED,
    Rule.PREREQUISITE: Reason.TARGETING_MATCH,
    Rule.ENVIRONMENT: Reason.TARGETING_MATCH,
    Rule.WHITELIST: Reason.TARGETING_MATCH,
    Rule.TARGETING: Reason.TARGETING_MATCH,
    Rule.ORGANIZATION: Reason.TARGETING_MATCH,
    Rule.DEFAULT: Reason.STATIC,
    Rule.ROLLOUT: Reason.SPLIT,
    Rule.DEFAULT_ROLLOUT: Reason.SPLIT,
}


STOPPED = frozenset({Rule.ARCHIVED, Rule.KILLED})
"""The rules that stop a flag, so that it serves none of its variants."""


class Outcome(NamedTuple):
    """What a rule says. `enabled` is None if it leaves the decision to the next rule; `detail` is a sentence.

    The rule `targeting` also names the targeting rule that decided, and the variant that this rule serves, if any.
    """

    enabled: bool | None
    detail: str
    rule_id: str = ""
    variant: str = ""


RuleResult = tuple[bool | None, str] | tuple[bool | None, str, str] | tuple[bool | None, str, str, str]
"""The values of an `Outcome`."""


def name_of_unit(unit: str, by: str, level: int | None) -> str:
    """Name a unit in a sentence. The key of an ancestor is not for a caller who may not see this organization."""
    if by == Unit.ORGANIZATION:
        return "The organization"
    return f"The ancestor at level {level}" if by == Unit.ANCESTOR else repr(unit)


def word(enabled: bool) -> str:
    """Return the word for a value."""
    return "on" if enabled else "off"


def rollout_unit(key: str, by: Unit, level: int | None, targeting_key: str | None, keys: Sequence[str]) -> str:
    """Return the unit that the rollout of a flag counts: the targeting key, or the key of an organization.

    Args:
        key: the flag's, for the error.
        by: what the rollout counts.
        level: the level of the ancestor that counts. For an organization above it, the organization itself counts.
        targeting_key: that of the context, if it has one.
        keys: those of the organizations on the path, root first.

    Raises:
        TargetingKeyMissing: the context does not have the unit.
    """
    if by == Unit.TARGETING_KEY:
        if not targeting_key:
            raise TargetingKeyMissing(
                f"The rollout of the flag {key!r} needs a targeting key, and the request has none."
            )
        return targeting_key
    if not keys:
        raise TargetingKeyMissing(f"The rollout of the flag {key!r} needs an organization, and the request names none.")
    return keys[-1] if level is None or level >= len(keys) else keys[level]


def in_bucket(number: int, threshold: int, what: str) -> tuple[bool, str]:
    """Say whether a bucket is below the threshold of a rollout, and that in a sentence about the unit `what`."""
    where = "inside" if number < threshold else "outside"
    sentence = f"{what} is in bucket {number} of {BUCKETS}, {where} the rollout of {threshold / 1000:g} %."
    return number < threshold, sentence
