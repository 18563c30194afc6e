"""All definitions at one moment, with everything that is compiled from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from flags.definitions import loader
from flags.evaluation.engine import Definition
from flags.serving.compiled_environment import CompiledEnvironment, CompiledFlags, CompiledFlagsLimit
from flags.serving.packed_states import PackedStates


@dataclass(frozen=True, slots=True)
class DefinitionSet:
    """Every flag's definition, by key, in the order of the keys.

    What is compiled goes with the set: after a change there is another set.
    """

    by_key: dict[str, Definition]
    fingerprint: bytes
    """The same in every process that knows the same definitions."""
    environments: frozenset[str]
    """The environments that some flag overrides; all others are alike."""
    compiled: dict[str, CompiledEnvironment] = field(default_factory=dict)
    """By environment; under "" the one for all environments that no flag overrides."""
    limit: CompiledFlagsLimit = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", CompiledFlagsLimit(len(self.by_key)))

    @classmethod
    def load(cls) -> DefinitionSet:
        """The definitions as they stand in the database."""
        by_key = loader.load_definitions()
        content = repr([_in_order(one) for one in by_key.values()]).encode()
        environments = frozenset(name for one in by_key.values() for name in one.environments)
        return cls(by_key, hashlib.blake2b(content, digest_size=16).digest(), environments)

    def compiled_flags(self, states: PackedStates, environment: str) -> CompiledFlags:
        """Every flag's rules in an environment, for organizations with these flag states; compiled once for them all.

        This is the way to every evaluation: OFREP, the OpenFeature provider and `is_enabled`.
        """
        if environment and environment not in self.environments:
            environment = ""
        try:
            flags = self.compiled[environment].kept[states]
        except KeyError:
            return self._compile(environment).compile(states)
        flags.used = True
        return flags

    def _compile(self, environment: str) -> CompiledEnvironment:
        with self.limit.lock:
            if environment not in self.compiled:
                self.compiled[environment] = CompiledEnvironment(self.by_key, environment, self.limit)
            return self.compiled[environment]


def _in_order(one: Definition) -> tuple[object, ...]:
    """What evaluation depends on, written alike by every process."""
    return (
        one.id, one.key, one.enabled, one.threshold, one.salt, one.unit, one.level, sorted(one.whitelist),
        sorted(one.environments.items()), one.prerequisites, one.archived, one.killed, one.hash_version,
    )  # fmt: skip
