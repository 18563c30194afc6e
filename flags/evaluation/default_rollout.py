"""The default rollout of a flag: it takes the place of the default variant.

It counts where the flag is on and neither a targeting rule nor the organization's setting has chosen a variant or a
custom value. Where the value is locked, and where the context does not have the unit, the default variant counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from flags.evaluation.reasons import name_of_unit
from flags.evaluation.rollout import BUCKETS, Bucketing, salt_of_default_rollout
from flags.targeting.attributes import TARGETING_KEY, Attributes
from flags.targeting.places import Place
from flags.targeting.rule_rollouts import ANCESTOR, ORGANIZATION, RuleRollout, unit_bytes
from flags.targeting.weights import variant_in
from flags.values.served import HasVariants, chosen
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED


class HasDefaultRollout(HasVariants, Protocol):
    """The part of a definition that the default rollout needs."""

    @property
    def key(self) -> str:
        """The key of the flag."""

    @property
    def salt(self) -> str:
        """The salt of the flag."""

    @property
    def hash_version(self) -> int:
        """The version of the flag's hash."""

    @property
    def default_rollout(self) -> RuleRollout | None:
        """The default rollout, if it has one."""


class Share(NamedTuple):
    """The variant that the default rollout chooses, and a sentence about it. The variant is empty if it chooses none.

    It `counts` if it chooses a variant for those who have its unit.
    """

    variant: str = ""
    detail: str = ""
    counts: bool = False


NO_SHARE = Share()


def leaves_choice(flag: HasDefaultRollout, *, number: int = BY_ENABLED, key: str = "", custom: Any = None) -> bool:
    """Return whether a flag that is on has a default rollout, and nothing has chosen a variant before it.

    The arguments are those of `flags.values.served.chosen`.
    """
    if flag.default_rollout is None or flag.type == FlagType.BOOLEAN:
        return False
    return chosen(flag, number=number, key=key, custom=custom) is None


def bucketing_of(flag: HasDefaultRollout, rollout: RuleRollout) -> Bucketing:
    """Return the formula of the buckets of the default rollout of a flag. Raises UnknownHashVersion."""
    return rollout.bucketing(salt_of_default_rollout(flag.salt), flag.key, flag.hash_version)


def share_of(
    flag: HasDefaultRollout,
    attributes: Attributes,
    targeting_key: str,
    place: Place,
    *,
    is_locked: bool,
    **choice: Any,
) -> Share:
    """Return what the default rollout of a flag that is on chooses for somebody in an organization.

    Args:
        flag: the definition.
        attributes: the evaluation context.
        targeting_key: that of the context; empty if it has none.
        place: the organization.
        is_locked: whether the organization's value is locked. Then the default rollout chooses nothing.
        choice: what has been chosen before, as `leaves_choice` takes it.

    Returns:
        The variant. NO_SHARE if the flag has no default rollout, or if something has been chosen.

    Raises:
        UnknownHashVersion: this version of Flagsite does not know the formula of the buckets.
    """
    rollout = flag.default_rollout
    if rollout is None or not leaves_choice(flag, **choice):
        return NO_SHARE
    if is_locked:
        return Share(detail="The value is locked for the organization, so the default rollout does not count.")
    unit = rollout.unit(attributes, targeting_key, place)
    if not unit:
        detail = f"The default rollout counts {_counted(rollout)}, and the request has none."
        return Share(detail=detail, counts=True)
    number = bucketing_of(flag, rollout).bucket(unit_bytes(unit))
    variant = variant_in(rollout.ranges, number)
    what = name_of_unit(unit, rollout.by, rollout.level)
    detail = f"The default rollout: {what} is in bucket {number} of {BUCKETS}, of {variant!r}."
    return Share(variant, detail, counts=True)


def _counted(rollout: RuleRollout) -> str:
    words = {TARGETING_KEY: "targeting keys", ORGANIZATION: "organizations", ANCESTOR: "organizations"}
    return words.get(rollout.by, f"values of {rollout.by!r}")
