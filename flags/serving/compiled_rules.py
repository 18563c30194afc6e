"""The compiled rules of a flag: they decide for each evaluation what does not hold for every targeting key.

Each class has `decide(snapshot, targeting_key, key_bytes)`, which returns the flag's resolution for that targeting key
in that organization. `key_bytes` is the targeting key in UTF-8; both are empty where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import FailedResolution, Resolution
from flagsite.core.errors import FlagsiteError


@dataclass(slots=True, eq=False)
class FixedRules:
    """A flag with the same resolution for everybody."""

    resolution: Resolution

    def decide(self, snapshot: OrganizationSnapshot, targeting_key: str, key_bytes: bytes) -> Resolution:
        """The one resolution."""
        return self.resolution


@dataclass(slots=True, eq=False)
class RolloutRules:
    """A flag that is rolled out by targeting key: the bucket decides.

    The flag is on where `hash(prefix + key)` is below `limit`, on the scale of the hash, 0 to 2^32.
    """

    hash: Callable[[bytes], int]
    prefix: bytes
    limit: int
    inside: Resolution
    outside: Resolution
    missing: FailedResolution

    def decide(self, snapshot: OrganizationSnapshot, targeting_key: str, key_bytes: bytes) -> Resolution:
        """The resolution of the bucket of the targeting key."""
        if not key_bytes:
            return self.missing
        return self.inside if self.hash(self.prefix + key_bytes) < self.limit else self.outside


@dataclass(slots=True, eq=False)
class OrganizationRolloutRules(RolloutRules):
    """A flag that is rolled out by organization, or by the ancestor at a level of the tree."""

    level: int | None

    def decide(self, snapshot: OrganizationSnapshot, targeting_key: str, key_bytes: bytes) -> Resolution:
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

    def decide(self, snapshot: OrganizationSnapshot, targeting_key: str, key_bytes: bytes) -> Resolution:
        """On for the whitelist."""
        if targeting_key in self.whitelist:
            return self.whitelisted
        return self.others.decide(snapshot, targeting_key, key_bytes)


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

    def decide(self, snapshot: OrganizationSnapshot, targeting_key: str, key_bytes: bytes) -> Resolution:
        """Off by a prerequisite, else the resolution of the flag's own rules."""
        for rules in self.prerequisites:
            needed = rules.decide(snapshot, targeting_key, key_bytes)
            if not needed.enabled:
                if needed.error is None:
                    return self.refused
                return self._without(needed, needed.error, snapshot, targeting_key, key_bytes)
        return self.otherwise.decide(snapshot, targeting_key, key_bytes)

    def _without(
        self,
        undecided: Resolution,
        error: type[FlagsiteError],
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
    ) -> Resolution:
        """Off if another prerequisite or the flag's own rules say so, else failed as the prerequisite `undecided`."""
        for rules in self.prerequisites:
            if rules.decide(snapshot, targeting_key, key_bytes).enabled is False:
                return self.refused
        own = self.otherwise.decide(snapshot, targeting_key, key_bytes)
        return own if own.enabled is False else FailedResolution(self.refused.key, error, undecided.why)


CompiledRules = FixedRules | RolloutRules | OrganizationRolloutRules | WhitelistRules | PrerequisiteRules
