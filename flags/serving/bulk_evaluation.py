"""All flags' entries for one request: those of a user whom every rollout is on for, with what is different replaced.

So a user costs one hash for each rollout and next to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flags.serving.compiled_flags import CompiledRules, FixedRules, RolloutRules, WhitelistRules
from flags.serving.organization_snapshot import OrganizationSnapshot

ByHash = tuple[int, Callable[[bytes], int], bytes, int, bytes]
"""A rollout by user: its place, its hash, what is hashed before the unit, below what it is on, its entry when off."""


class BulkEvaluation:
    """The flags of a bulk answer in JSON, for organizations with the same states in one environment."""

    __slots__ = ("_answers", "_entries", "_listed", "_others", "_rollouts")

    def __init__(self, answers: Sequence[CompiledRules]) -> None:
        """`answers` has those of all flags, in the order of their keys."""
        self._answers = answers
        self._listed: set[str] = set()
        """Whoever is on some flag's list; none of them is answered from what follows."""
        self._entries: list[bytes] = []
        self._rollouts: list[ByHash] = []
        self._others: list[tuple[int, CompiledRules]] = []
        """The flags that have to be asked, and their places."""
        for place, answer in enumerate(answers):
            if isinstance(answer, WhitelistRules):
                self._listed |= answer.users
            self._place(place, answer.others if isinstance(answer, WhitelistRules) else answer)

    def entries(self, view: OrganizationSnapshot, key: str, unit: bytes) -> list[bytes]:
        """Each flag's entry; `key` is the targeting key, `unit` the same in UTF-8, empty where there is none."""
        if not unit or key in self._listed:
            return [answer.decide(view, key, unit).json for answer in self._answers]
        entries = self._entries.copy()
        for place, hash_32, prefix, limit, off in self._rollouts:
            if hash_32(prefix + unit) >= limit:
                entries[place] = off
        for place, answer in self._others:
            entries[place] = answer.decide(view, key, unit).json
        return entries

    def _place(self, place: int, answer: CompiledRules) -> None:
        if isinstance(answer, FixedRules):
            self._entries.append(answer.outcome.json)
        elif type(answer) is RolloutRules:
            self._entries.append(answer.inside.json)
            self._rollouts.append((place, answer.hash, answer.prefix, answer.limit, answer.outside.json))
        else:
            self._entries.append(b"")
            self._others.append((place, answer))
