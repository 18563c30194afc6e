"""The entries of all flags for one request, in OFREP's JSON.

The start is a copy of the entries of a user for whom every rollout is on; then the entries are replaced that differ. So
an evaluation costs one hash for each rollout, and next to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flags.serving.compiled_rules import CompiledRules, FixedRules, RolloutRules, WhitelistRules
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes

RolloutEntry = tuple[int, Callable[[bytes], int], bytes, int, bytes]
"""A rollout by targeting key: index, hash, hash prefix, limit, and the entry where it is off (see `RolloutRules`)."""


class BulkEvaluation:
    """All flags of organizations with the same flag states in one environment."""

    __slots__ = ("_entries", "_others", "_rollouts", "_rules", "_whitelisted")

    def __init__(self, rules: Sequence[CompiledRules]) -> None:
        """`rules` has those of all flags, in the order of the flags' keys."""
        self._rules = rules
        self._whitelisted: set[str] = set()
        """The targeting keys on the whitelist of any flag: for them every flag's rules decide."""
        self._entries: list[bytes] = []
        self._rollouts: list[RolloutEntry] = []
        self._others: list[tuple[int, CompiledRules]] = []
        """The flags whose rules have to decide for every request, with their indexes."""
        for index, each in enumerate(rules):
            if isinstance(each, WhitelistRules):
                self._whitelisted |= each.whitelist
            self._add(index, each.others if isinstance(each, WhitelistRules) else each)

    def entries(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> list[bytes]:
        """Each flag's entry, in a new list; the parameters are those of `CompiledRules.decide`."""
        if not key_bytes or targeting_key in self._whitelisted:
            return [rules.decide(snapshot, targeting_key, key_bytes, attributes).json for rules in self._rules]
        entries = self._entries.copy()
        for index, hash_32, prefix, limit, off in self._rollouts:
            if hash_32(prefix + key_bytes) >= limit:
                entries[index] = off
        for index, rules in self._others:
            entries[index] = rules.decide(snapshot, targeting_key, key_bytes, attributes).json
        return entries

    def _add(self, index: int, rules: CompiledRules) -> None:
        if isinstance(rules, FixedRules):
            self._entries.append(rules.resolution.json)
        elif type(rules) is RolloutRules:
            self._entries.append(rules.inside.json)
            self._rollouts.append((index, rules.hash, rules.prefix, rules.limit, rules.outside.json))
        else:
            self._entries.append(b"")
            self._others.append((index, rules))
