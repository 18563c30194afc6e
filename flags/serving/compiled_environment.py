"""The flags of one environment, compiled for the flag states of those organizations that are asked for.

A flag is compiled when somebody asks for it first. Organizations share what they have in common: a flag's rules for the
same value, and resolutions that name no change. EVALUATION_CACHE_MEGABYTES limits how much is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property

from django.conf import settings

from flags.errors import FlagNotFound
from flags.evaluation.engine import Definition
from flags.serving.bulk_evaluation import BulkEvaluation
from flags.serving.compiled_flag import NO_FLAG, CompiledFlag
from flags.serving.compiled_rules import CompiledRules
from flags.serving.compiled_targeting import IndexedFlags, indexed
from flags.serving.packed_states import PackedStates
from flags.values.served import as_json
from flags.values.types import FlagType

COMPILED_BYTES = 2_000
"""About what one flag's rules take for one value: two resolutions with JSON, and their entries in dictionaries.

The values of variants come on top, as each resolution has its value in its JSON.
"""


class EnvironmentFlags(dict[str, CompiledFlag]):
    """All flags of an environment that somebody can ask for, by key, in the order of the keys."""

    @cached_property
    def targeting(self) -> Sequence[IndexedFlags]:
        """The targeting rules of all flags. Made when somebody asks for all flags."""
        return indexed((place, one.targeting) for place, one in enumerate(self.values()) if one.has_targeting)


class CompiledFlags(dict[str, CompiledRules]):
    """Every flag's rules, by the flag's key, for organizations with the same flag states in one environment.

    `compiled[key]` raises FlagNotFound for a flag that does not exist.
    """

    __slots__ = ("_bulk", "_flags", "states", "used")

    def __init__(self, flags: EnvironmentFlags, states: PackedStates) -> None:
        super().__init__()
        self._flags = flags
        self._bulk: BulkEvaluation | None = None
        self.states = states
        self.used = False
        """Whether somebody asked for them since their last turn (`CompiledFlagsLimit`)."""

    def __missing__(self, key: str) -> CompiledRules:
        flag = self._flags.get(key)
        if flag is None:
            raise FlagNotFound(f"There is no flag {key!r}.")
        rules = self[key] = flag.rules(self.states)
        return rules

    @property
    def bulk(self) -> BulkEvaluation:
        """The evaluation of all flags at once."""
        if self._bulk is None:
            self._bulk = BulkEvaluation([self[key] for key in self._flags], self._flags.targeting)
        return self._bulk


class CompiledFlagsLimit:
    """How many `CompiledFlags` a definition set keeps, in all its environments together.

    Of more, one goes that nobody asked for since its last turn: nearly the one that was used least recently, without a
    list that every read would have to put in order.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        bytes_of_each = sum(map(_compiled_bytes, definitions)) or COMPILED_BYTES
        self.most = max(2, settings.EVALUATION_CACHE_MEGABYTES * 2**20 // 3 // bytes_of_each)
        self.lock = threading.Lock()
        """Held while something is compiled, kept or dropped."""
        self._turns: deque[tuple[dict[PackedStates, CompiledFlags], PackedStates]] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def keep(self, kept: dict[PackedStates, CompiledFlags], compiled: CompiledFlags) -> None:
        """Put `compiled` into `kept`, in exchange for others where there is no room. The caller holds the lock."""
        while len(self._turns) >= self.most:
            self._take_turn()
        kept[compiled.states] = compiled
        self._turns.append((kept, compiled.states))

    def _take_turn(self) -> None:
        kept, states = self._turns.popleft()
        if kept[states].used:
            kept[states].used = False
            self._turns.append((kept, states))
        else:
            del kept[states]


class CompiledEnvironment:
    """The flags of one environment. `kept` has those that are compiled, by the organizations' flag states."""

    __slots__ = ("__weakref__", "_flags", "_limit", "kept")

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        environment: str,
        limit: CompiledFlagsLimit,
        hidden: Container[str] = (),
    ) -> None:
        """`definitions` are in the order of their keys. Those that are `hidden` count as prerequisites only.

        No error names a hidden one.
        """
        flags = {
            key: CompiledFlag(one, environment, limit.most, is_named=key not in hidden)
            for key, one in definitions.items()
        }
        _fill_prerequisites(flags)
        self._flags = EnvironmentFlags({key: flag for key, flag in flags.items() if key not in hidden})
        self._limit = limit
        self.kept: dict[PackedStates, CompiledFlags] = {}

    def compile(self, states: PackedStates) -> CompiledFlags:
        """The flags for these states, kept from now on."""
        with self._limit.lock:
            compiled = self.kept.get(states)
            if compiled is None:
                compiled = CompiledFlags(self._flags, states)
                self._limit.keep(self.kept, compiled)
            return compiled


def _fill_prerequisites(flags: Mapping[str, CompiledFlag]) -> None:
    """Find for each flag every flag that it needs, also by way of others, in the order of evaluation."""
    for flag in flags.values():
        seen = {flag.definition.key}
        under_way = [(flag, iter(flag.prerequisites))]
        while under_way:
            needing, following = under_way[-1]
            key = next(following, None)
            if key is None:
                flag.all_prerequisites.append(needing)
                under_way.pop()
            elif key not in seen:
                seen.add(key)
                needed = flags.get(key) or _missing_flag(key)
                under_way.append((needed, iter(needed.prerequisites)))
        flag.all_prerequisites.pop()  # itself


def _compiled_bytes(definition: Definition) -> int:
    """About what a flag's rules take for one value, with the longest value of a variant in two resolutions.

    With a default rollout, there is a resolution more for each of its variants.
    """
    lengths = {each.key: len(as_json(each.value, FlagType.OBJECT)) for each in definition.variants}
    rollout = definition.default_rollout
    shares = set() if rollout is None else {variant for variant, _ in rollout.ranges}
    of_shares = sum(COMPILED_BYTES // 2 + lengths.get(variant, 0) for variant in shares)
    return COMPILED_BYTES + 2 * max(lengths.values(), default=0) + of_shares


def _missing_flag(key: str) -> CompiledFlag:
    """A flag that does not exist is off."""
    return CompiledFlag(Definition(NO_FLAG, key, archived=True), "", 1)
