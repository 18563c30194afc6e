"""The entries of all flags for one request, in OFREP's JSON.

The start is a copy of the entries of a user for whom every rollout is on and no targeting rule matches; then the
entries are replaced that differ. So an evaluation costs one hash for each rollout, a few look-ups for each attribute
that targeting rules read, and next to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flags.serving.compiled_rules import CompiledRules, FixedRules, RolloutRules, TargetingRules, WhitelistRules
from flags.serving.compiled_targeting import IndexedFlags
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import Resolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes

RolloutEntry = tuple[int, Callable[[bytes], int], bytes, int, bytes]
"""A rollout by targeting key: index, hash, hash prefix, limit, and the entry where it is off (see `RolloutRules`)."""


class BulkEvaluation:
    """All flags of organizations with the same flag states in one environment."""

    __slots__ = ("_entries", "_entries_without_key", "_others", "_rollouts", "_rules", "_targeting", "_whitelisted")

    def __init__(self, rules: Sequence[CompiledRules], targeting: Sequence[IndexedFlags] = ()) -> None:
        """`rules` has those of all flags, in the order of the flags' keys. `targeting` has the indexes of all flags."""
        self._rules = rules
        self._whitelisted: dict[str, list[tuple[int, bytes]]] = {}
        """The entries of each targeting key that is on a whitelist, with their indexes."""
        self._entries: list[bytes] = []
        self._entries_without_key: list[bytes] = []
        self._rollouts: list[RolloutEntry] = []
        self._others: list[tuple[int, CompiledRules]] = []
        """The flags whose rules have to decide for every request, with their indexes."""
        targeted: list[int] = []
        for index, each in enumerate(rules):
            own = each
            if isinstance(own, WhitelistRules):
                for key in own.whitelist:
                    self._whitelisted.setdefault(key, []).append((index, own.whitelisted.json))
                own = own.others
            if isinstance(own, TargetingRules):
                targeted.append(index)
                own = own.others
            self._add(index, own)
        self._targeting = [(each, wanted) for each in targeting if (wanted := each.rules_of(targeted))]
        """The indexes of targeting rules that count here, and which of their rules do."""

    def entries(
        self,
        snapshot: OrganizationSnapshot,
        targeting_key: str,
        key_bytes: bytes,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> list[bytes]:
        """Each flag's entry, in a new list; the parameters are those of `CompiledRules.decide`."""
        if key_bytes:
            entries = self._entries.copy()
            for index, hash_32, prefix, limit, off in self._rollouts:
                if hash_32(prefix + key_bytes) >= limit:
                    entries[index] = off
        else:
            entries = self._entries_without_key.copy()
        for index, rules in self._others:
            entries[index] = rules.decide(snapshot, targeting_key, key_bytes, attributes).json
        for indexed, wanted in self._targeting:
            for index, found in indexed.first_matches(wanted, snapshot, targeting_key, attributes):
                if isinstance(found, Resolution):
                    entries[index] = found.json
                else:  # its rollout may have no unit
                    entries[index] = self._rules[index].decide(snapshot, targeting_key, key_bytes, attributes).json
        if targeting_key in self._whitelisted:
            for index, entry in self._whitelisted[targeting_key]:
                entries[index] = entry
        return entries

    def _add(self, index: int, rules: CompiledRules) -> None:
        if isinstance(rules, FixedRules):
            self._entries.append(rules.resolution.json)
            self._entries_without_key.append(rules.resolution.json)
        elif type(rules) is RolloutRules:
            self._entries.append(rules.inside.json)
            self._entries_without_key.append(rules.missing.json)
            self._rollouts.append((index, rules.hash, rules.prefix, rules.limit, rules.outside.json))
        else:
            self._entries.append(b"")
            self._entries_without_key.append(b"")
            self._others.append((index, rules))
