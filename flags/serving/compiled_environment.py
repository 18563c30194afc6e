"""Answers made ready: for one organization's states, what each flag says to whoever asks.

An answer is made when it is asked for first. Organizations share what they have in common: a flag's answers for one
value, its outcomes that name no change. Only so many are kept as EVALUATION_CACHE_MEGABYTES allows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence

from django.conf import settings

from flags.evaluation.engine import Definition
from flags.serving.bulk_evaluation import BulkEvaluation
from flags.serving.compiled_flags import CompiledFlag, CompiledRules
from flags.serving.evaluation_cache import Definitions
from flags.serving.packed_states import PackedStates

ANSWER_BYTES = 2_000
"""About what one flag's answer takes for one value: two outcomes as JSON, and its places in what keeps them."""
_making = threading.Lock()


class CompiledFlags:
    """Every flag's answer for organizations with the same states, in one environment."""

    __slots__ = ("_bulk", "_flags", "_made", "_places", "states", "used")

    def __init__(self, flags: Sequence[CompiledFlag], places: Mapping[str, int], states: PackedStates) -> None:
        self._flags = flags
        self._places = places
        self._made: list[CompiledRules | None] = [None] * len(flags)
        self._bulk: BulkEvaluation | None = None
        self.states = states
        self.used = False
        """Whether they were asked for again since somebody looked which answers could go."""

    def of(self, key: str) -> CompiledRules | None:
        """The flag's answer; None for one that does not exist."""
        place = self._places.get(key)
        return None if place is None else self._made[place] or self._make(place)

    @property
    def bulk(self) -> BulkEvaluation:
        """All flags' answers for one request."""
        if self._bulk is None:
            self._bulk = BulkEvaluation([answer or self._make(place) for place, answer in enumerate(self._made)])
        return self._bulk

    def _make(self, place: int) -> CompiledRules:
        made = self._made[place] = self._flags[place].answer(self.states)
        return made


Turns = deque[tuple[dict[PackedStates, CompiledFlags], PackedStates]]


class CompiledEnvironment:
    """The flags of one environment, and the answers of those organizations' states that were asked for last.

    `turns` has the answers of all environments, in the order in which it is looked whether they can go.
    """

    def __init__(self, definitions: Definitions, environment: str, turns: Turns) -> None:
        count = max(1, len(definitions.by_key))
        self._most = max(2, settings.EVALUATION_CACHE_MEGABYTES * 2**20 // 3 // (ANSWER_BYTES * count))
        flags = {key: CompiledFlag(one, environment, self._most) for key, one in definitions.by_key.items()}
        _find_needs(flags)
        self._flags = list(flags.values())
        self._places = {key: place for place, key in enumerate(flags)}
        self.turns = turns
        self.kept: dict[PackedStates, CompiledFlags] = {}

    def make(self, states: PackedStates) -> CompiledFlags:
        """Answers for these states, in the place of some that nobody has asked for lately."""
        with _making:
            made = self.kept.get(states)
            if made is None:
                while len(self.turns) >= self._most:
                    self._let_one_go()
                made = self.kept[states] = CompiledFlags(self._flags, self._places, states)
                self.turns.append((self.kept, states))
            return made

    def _let_one_go(self) -> None:
        kept, states = self.turns.popleft()
        if kept[states].used:
            kept[states].used = False
            self.turns.append((kept, states))
        else:
            del kept[states]


def compiled_flags_for(definitions: Definitions, states: PackedStates, environment: str) -> CompiledFlags:
    """The answers for organizations with these states, made once for all of them.

    They are kept under the environments that some flag overrides; all others are alike, under "".
    """
    prepared: CompiledEnvironment | None = definitions.prepared.get(environment)
    if prepared is None:
        prepared = _prepare(definitions, environment)
    found = prepared.kept.get(states)
    if found is None:
        return prepared.make(states)
    found.used = True
    return found


def _prepare(definitions: Definitions, environment: str) -> CompiledEnvironment:
    named = environment if environment in definitions.environments else ""
    with _making:
        if named not in definitions.prepared:
            others: list[CompiledEnvironment] = list(definitions.prepared.values())
            turns: Turns = others[0].turns if others else deque()
            definitions.prepared[named] = CompiledEnvironment(definitions, named, turns)
        found: CompiledEnvironment = definitions.prepared[named]
        return found


def _find_needs(flags: Mapping[str, CompiledFlag]) -> None:
    """For each flag all that it needs, by way of others too, in the order in which they are asked."""
    for flag in flags.values():
        seen = {flag.definition.key}
        under_way = [(flag, iter(flag.prerequisites))]
        while under_way:
            needing, following = under_way[-1]
            key = next(following, None)
            if key is None:
                flag.needs.append(needing)
                under_way.pop()
            elif key not in seen:
                seen.add(key)
                needed = flags.get(key) or _nothing(key)
                under_way.append((needed, iter(needed.prerequisites)))
        flag.needs.pop()  # itself


def _nothing(key: str) -> CompiledFlag:
    """A flag that does not exist."""
    return CompiledFlag(Definition(0, key, archived=True), "", 1)
