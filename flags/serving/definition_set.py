"""All definitions at one moment, with everything that is compiled from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flags.definitions import loader
from flags.evaluation.context_loader import organization_attributes_read
from flags.evaluation.engine import Definition
from flags.serving.compiled_environment import CompiledEnvironment, CompiledFlags, CompiledFlagsLimit
from flags.serving.packed_states import PackedStates
from flags.targeting.attributes import Attributes, reader_of


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
    clients: ClientDefinitions | None = None
    """What clients can evaluate; the set of the clients itself has None."""
    hidden: frozenset[str] = frozenset()
    """Flags that nobody can ask this set for: they count as prerequisites only."""
    shared_limit: CompiledFlagsLimit | None = None
    """The limit of another set, from which this one is a selection."""
    limit: CompiledFlagsLimit = field(init=False)
    read_attributes: Callable[[Attributes], bytes] = field(init=False)
    """What rules and default rollouts read of an evaluation context, as bytes: nothing else of it changes an answer."""
    organization_attributes: frozenset[str] = field(init=False)
    """The attributes of organizations that targeting rules read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_attributes", reader_of(_attributes_read(self.by_key)))
        object.__setattr__(self, "organization_attributes", organization_attributes_read(self.by_key.values()))
        limit = CompiledFlagsLimit(self.by_key.values()) if self.shared_limit is None else self.shared_limit
        object.__setattr__(self, "limit", limit)

    @classmethod
    def load(cls) -> DefinitionSet:
        """The definitions as they stand in the database."""
        by_key = loader.load_definitions()
        limit = CompiledFlagsLimit(by_key.values())
        clients = ClientDefinitions.of(by_key, limit)
        return cls(by_key, *_described(by_key), clients=clients, shared_limit=limit)

    def for_clients(self, states: PackedStates) -> tuple[DefinitionSet, PackedStates]:
        """The definitions and the flag states with which clients evaluate, for an organization with these states.

        For a client, no other flag exists. So another flag's definition or value changes neither an answer nor its tag.
        """
        clients = self.clients
        return (self, states) if clients is None else (clients.definitions, states.only(clients.flag_ids))

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
                self.compiled[environment] = CompiledEnvironment(self.by_key, environment, self.limit, self.hidden)
            return self.compiled[environment]


@dataclass(frozen=True, slots=True)
class ClientDefinitions:
    """The flags that are available to clients, and the flags that they need as prerequisites.

    `flag_ids` has the ids of both, in their order.
    """

    definitions: DefinitionSet
    flag_ids: tuple[int, ...]

    @classmethod
    def of(cls, by_key: Mapping[str, Definition], limit: CompiledFlagsLimit) -> ClientDefinitions:
        """What clients can evaluate of these definitions. It shares the limit of the set that has all definitions."""
        needed: set[str] = set()
        found = [key for key, one in by_key.items() if one.available_to_clients]
        while found:
            key = found.pop()
            if key in by_key and key not in needed:
                needed.add(key)
                found += by_key[key].prerequisites
        theirs = {key: one for key, one in by_key.items() if key in needed}
        hidden = frozenset(key for key, one in theirs.items() if not one.available_to_clients)
        definitions = DefinitionSet(theirs, *_described(theirs), hidden=hidden, shared_limit=limit)
        return cls(definitions, tuple(sorted(one.id for one in theirs.values())))


def _attributes_read(by_key: Mapping[str, Definition]) -> list[str]:
    """The attributes that targeting rules and default rollouts read, sorted.

    Those of an archived or killed flag do not count.
    """
    in_use = [one for one in by_key.values() if not (one.archived or one.killed)]
    by_rules = {name for one in in_use for rule in one.targeting_rules for name in rule.reads}
    by_default = {one.default_rollout.reads for one in in_use if one.default_rollout is not None}
    return sorted((by_rules | by_default) - {""})


def _described(by_key: Mapping[str, Definition]) -> tuple[bytes, frozenset[str]]:
    """The fingerprint of definitions, and the environments that they override."""
    content = repr([_in_order(one) for one in by_key.values()]).encode()
    environments = frozenset(name for one in by_key.values() for name in one.environments)
    return hashlib.blake2b(content, digest_size=16).digest(), environments


def _in_order(one: Definition) -> tuple[object, ...]:
    """What evaluation depends on, written alike by every process."""
    return (
        one.id, one.key, one.enabled, one.threshold, one.salt, one.unit, one.level, sorted(one.whitelist),
        one.targeting_rules,
        sorted(one.environments.items()), one.prerequisites, sorted(one.wants.items()), one.archived, one.killed,
        one.hash_version, one.available_to_clients, one.type, one.variants, one.default_variant,
        one.off_variant, one.default_rollout,
    )  # fmt: skip
