"""Rollouts inside targeting rules, and the default rollout, as evaluation reads them from a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flags.evaluation.rollout import BUCKETS, Bucketing, bucketing
from flags.targeting.attributes import TARGETING_KEY, Attributes, getter, name_of_organization
from flags.targeting.places import Place
from flags.targeting.weighted_rules import ranges_of
from flags.targeting.weights import Ranges, sizes_of

ORGANIZATION, ANCESTOR = "organization", "ancestor"
"""What a rollout can count beside the targeting key and attributes."""


@dataclass(frozen=True, slots=True)
class RuleRollout:
    """A rule that serves its variants to parts of those that it matches, or the default rollout of a flag.

    A boolean flag is on for the buckets below `threshold`. For other flags, `ranges` says which variant has which
    buckets. `by` is `targetingKey`, `organization`, `ancestor` (at a `level`), or the name of an attribute. `salt` and
    `hash_version` take the place of those of the flag, if they are not None.
    """

    threshold: int
    by: str = TARGETING_KEY
    level: int | None = None
    ranges: Ranges = ()
    salt: str | None = None
    hash_version: int | None = None

    def bucketing(self, salt: str, key: str, version: int) -> Bucketing:
        """Return the formula of the buckets, from the salt, the key and the hash version of the flag.

        Raises UnknownHashVersion.
        """
        own_salt = salt if self.salt is None else self.salt
        return bucketing(own_salt, key, version if self.hash_version is None else self.hash_version)

    @property
    def asks_for_path(self) -> bool:
        """Whether it depends on the organizations above: on their keys, or on attributes that come from them."""
        return self.is_of_place and self.by != ORGANIZATION

    @property
    def reads(self) -> str:
        """The attribute of the context that the rollout reads. Empty if it reads none, or the targeting key."""
        return "" if self.is_of_place or self.by == TARGETING_KEY else self.by

    @property
    def own_name(self) -> str:
        """The name of the organization's attribute that the rollout counts. Empty if it counts something else."""
        return name_of_organization(self.by)

    @property
    def is_of_place(self) -> bool:
        """Whether it counts organizations, or an attribute of theirs: all users of one organization are one unit."""
        return self.by in (ORGANIZATION, ANCESTOR) or bool(self.own_name)

    def unit(self, attributes: Attributes, targeting_key: str, place: Place) -> str:
        """Return the unit that is counted; empty if there is none, so that the rule does not match."""
        if self.by == TARGETING_KEY:
            return targeting_key
        if self.by in (ORGANIZATION, ANCESTOR):
            keys = place.keys
            if not keys:
                return ""
            return keys[-1] if self.level is None or self.level >= len(keys) else keys[self.level]
        if self.own_name:
            return unit_of(place.attributes.get(self.own_name))
        return unit_of(getter(self.by)(attributes))


def default_rollout_of(content: Any) -> RuleRollout | None:
    """Read the default rollout in the JSON of a definition; None if there is none, or if it cannot be read."""
    weights = content.get("rollout") if isinstance(content, Mapping) else None
    return rollout_of(weights, content) if isinstance(weights, Mapping) else None


def unit_of(value: Any) -> str:
    """Return a value of an attribute as a unit of a rollout: a text, or a whole number in digits; else nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def unit_bytes(unit: str) -> bytes:
    """Return a unit in UTF-8, for the hash. Clients cut texts between the two halves of an emoji, which stay halves."""
    return unit.encode(errors="surrogatepass")


def rollout_of(weights: Mapping[str, Any], others: Mapping[str, Any]) -> RuleRollout | None:
    """Read a rollout from its weights and the other members of its JSON; None if it cannot be read."""
    if not all(isinstance(weight, int | float) for weight in weights.values()):
        return None
    sizes = sizes_of(weights)
    if sum(sizes.values()) != BUCKETS:
        return None
    by, level = others.get("by", TARGETING_KEY), others.get("level")
    ranges = ranges_of(weights, others.get("ranges"))
    return RuleRollout(sizes.get("on", 0), by, level, ranges, others.get("salt"), others.get("hashVersion"))
