"""The compiled rules of a flag: they decide for each evaluation what does not hold for every targeting key.

Each class has `decide(snapshot, targeting_key, key_bytes, attributes)`, which returns the flag's resolution for that
targeting key in that organization. `key_bytes` is the targeting key in UTF-8; both are empty where there is none.
`attributes` are the evaluation context, which targeting rules read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flags.evaluation.wants import Want
from flags.serving.compiled_targeting import CompiledTargeting
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import FailedResolution, Resolution, SplitResolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from flags.targeting.rule_rollouts import RuleRollout, unit_bytes
from flagsite.core.errors import FlagsiteError


@dataclass(slots=True, eq=False)
class FixedRules:
    """A flag with the same resolution for everybody."""

    resolution: Resolution

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The one resolution."""
        return self.resolution


@dataclass(slots=True, eq=False)
class RolloutRules:
    """A flag that is rolled out by targeting key: the bucket decides.

    The flag is on where `hash(prefix + key)` is below `limit`, on the scale of the hash (`flags.evaluation.hashes`).
    """

    hash: Callable[[bytes], int]
    prefix: bytes
    limit: int
    inside: Resolution
    outside: Resolution
    missing: FailedResolution

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The resolution of the bucket of the targeting key."""
        if not key_bytes:
            return self.missing
        return self.inside if self.hash(self.prefix + key_bytes) < self.limit else self.outside


@dataclass(slots=True, eq=False)
class OrganizationRolloutRules(RolloutRules):
    """A flag that is rolled out by organization, or by the ancestor at a level of the tree."""

    level: int | None

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The resolution of the bucket of the organization's or ancestor's key."""
        keys = snapshot.keys
        if not keys:
            return self.missing
        counted = keys[-1] if self.level is None or self.level >= len(keys) else keys[self.level]
        return RolloutRules.decide(self, snapshot, targeting_key, counted.encode())


@dataclass(slots=True, eq=False)
class WhitelistRules:
    """A flag with a whitelist, and with other rules for everybody else."""

    whitelist: frozenset[str]
    whitelisted: Resolution
    others: CompiledRules

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """On for the whitelist."""
        if targeting_key in self.whitelist:
            return self.whitelisted
        return self.others.decide(snapshot, targeting_key, key_bytes, attributes)


@dataclass(slots=True, eq=False)
class TargetingRules:
    """A flag with targeting rules, and with other rules for those whom none of them matches."""

    targeting: CompiledTargeting
    others: CompiledRules

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The resolution by a targeting rule, or else by the other rules."""
        found = self.targeting.decide(attributes, targeting_key, snapshot)
        if found is not None and found.error is None:
            return found
        other = self.others.decide(snapshot, targeting_key, key_bytes, attributes)
        return other if found is None or other.enabled is False else found


@dataclass(slots=True, eq=False)
class DefaultRolloutRules:
    """A flag with a default rollout, which chooses the variant where the `others` leave the choice to it.

    Below each limit, on the scale of the hash, another of the shares of their resolution counts: the one at this place.
    """

    others: CompiledRules
    rollout: RuleRollout
    hash: Callable[[bytes], int]
    prefix: bytes
    limits: Sequence[int]
    places: Sequence[int]

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The resolution of the others, with the variant that has the bucket of the unit if they have chosen none."""
        found = self.others.decide(snapshot, targeting_key, key_bytes, attributes)
        if not isinstance(found, SplitResolution):
            return found
        unit = self.rollout.unit(attributes, targeting_key, snapshot)
        if not unit:
            return found
        return found.shares[self.places[bisect_right(self.limits, self.hash(self.prefix + unit_bytes(unit)))]]


@dataclass(slots=True, eq=False)
class PrerequisiteRules:
    """A flag that is off where one of its prerequisites is off.

    `prerequisites` has the rules of all flags that it needs, also by way of others: without their own prerequisites,
    each once, and before the flags that need it. So the first one that is off decides. Those that are on for everybody
    are left out.
    """

    prerequisites: Sequence[CompiledRules]
    refused: Resolution
    otherwise: CompiledRules

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """Off by a prerequisite, else the resolution of the flag's own rules."""
        for rules in self.prerequisites:
            needed = rules.decide(snapshot, targeting_key, key_bytes, attributes)
            if not needed.enabled:
                if needed.error is None:
                    return self.refused
                return self._without(needed, needed.error, snapshot, targeting_key, key_bytes, attributes=attributes)
        return self.otherwise.decide(snapshot, targeting_key, key_bytes, attributes)

    def _without(
        self,
        undecided: Resolution,
        error: type[FlagsiteError],
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        *,
        attributes: Attributes,
    ) -> Resolution:
        """Off if another prerequisite or the flag's own rules say so, else failed as the prerequisite `undecided`."""
        for rules in self.prerequisites:
            if rules.decide(snapshot, targeting_key, key_bytes, attributes).enabled is False:
                return self.refused
        own = self.otherwise.decide(snapshot, targeting_key, key_bytes, attributes)
        return own if own.enabled is False else FailedResolution(self.refused.key, error, undecided.why)


Need = tuple[int, Want | None]
"""The place of a prerequisite among the steps, and what it has to be. None if there is no such flag."""
Step = tuple["CompiledRules", Resolution, Sequence[Need]]
"""A flag: its rules without prerequisites, the resolution if one is not as it must be, and its prerequisites."""


@dataclass(slots=True, eq=False)
class StepwiseRules:
    """A flag where it, or a flag that it needs, wants a prerequisite to be off.

    `steps` has all flags that it needs, also by way of others, before the flags that need them, and last the flag
    itself. So each is decided once.
    """

    steps: Sequence[Step]

    def decide(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Resolution:
        """The resolution of the last step."""
        found: list[Resolution] = []
        for own, refused, needs in self.steps:
            undecided, is_refused = _looked_at(needs, found)
            if is_refused:
                found.append(refused)
                continue
            decided = own.decide(snapshot, targeting_key, key_bytes, attributes)
            if undecided is not None and undecided.error is not None and decided.enabled is not False:
                decided = FailedResolution(refused.key, undecided.error, undecided.why)
            found.append(decided)
        return found[-1]


def is_met(wanted: Want | None, needed: Resolution) -> bool:
    """Return whether a resolution of a prerequisite, which is no error, is what is wanted."""
    return wanted is not None and wanted.is_met(enabled=bool(needed.enabled), variant=needed.variant)


def _looked_at(needs: Sequence[Need], found: Sequence[Resolution]) -> tuple[Resolution | None, bool]:
    """Return the first prerequisite that cannot be decided, and whether another is not as it must be."""
    undecided: Resolution | None = None
    for place, wanted in needs:
        needed = found[place]
        if needed.error is not None:
            undecided = undecided or needed
        elif not is_met(wanted, needed):
            return undecided, True
    return undecided, False


CompiledRules = (
    FixedRules
    | RolloutRules
    | OrganizationRolloutRules
    | WhitelistRules
    | TargetingRules
    | DefaultRolloutRules
    | PrerequisiteRules
    | StepwiseRules
)
