"""The ways in which a flag can be resolved: each is made once, with its JSON, and shared by every evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import orjson

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.engine import Definition
from flags.evaluation.reasons import REASONS, Reason, Rule
from flags.serving.packed_states import PackedRow
from flags.values.served import NOTHING, Served, as_json
from flags.values.types import FlagType
from flagsite.core.errors import FlagsiteError

ERROR_CODES: Mapping[type[FlagsiteError], str] = {
    TargetingKeyMissing: "TARGETING_KEY_MISSING",
    UnknownHashVersion: "GENERAL",
}
"""OFREP's error code for each error with which a flag cannot be decided."""


class Resolution:
    """One result of evaluating a flag: on or off, what the flag serves, and its entry in OFREP's JSON.

    `enabled` is None for an error. `value` is None and `variant` empty where the flag serves no value. An object is
    shared by all evaluations, so whoever hands it on hands on a copy (`flags.values.served.copied`).
    """

    __slots__ = ("enabled", "error", "flag_type", "json", "key", "reason", "rule", "value", "variant", "why")

    def __init__(
        self,
        key: str,
        rule: Rule,
        json: bytes,
        *,
        enabled: bool | None,
        reason: Reason,
        serves: Served = NOTHING,
        flag_type: FlagType = FlagType.BOOLEAN,
    ) -> None:
        self.key = key
        self.rule = rule
        self.reason = reason
        self.json = json
        self.enabled = enabled
        self.flag_type = flag_type
        self.value = serves.value
        self.variant = serves.variant
        self.error: type[FlagsiteError] | None = None
        self.why = ""
        """The error in words."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What OFREP calls metadata: the rule that decided, and the change that set the value."""
        return dict(orjson.loads(self.json)["metadata"])

    @classmethod
    def by_rule(
        cls,
        definition: Definition,
        rule: Rule,
        serves: Served,
        *,
        enabled: bool,
        rule_id: str = "",
        is_split: bool = False,
    ) -> Self:
        """Return the resolution of a flag by a rule that no change has a part in.

        Args:
            definition: the flag's.
            rule: the rule that decides.
            serves: what the flag serves.
            enabled: whether the flag is on.
            rule_id: the id of the targeting rule that decides; empty for another rule.
            is_split: whether the default rollout has chosen what the flag serves.
        """
        has_value = serves.value is not None
        reason = definition.reason_of(rule, enabled=enabled, has_value=has_value, is_split=is_split)
        start = orjson.dumps({"key": definition.key, "reason": reason})[:-1]
        value = b',"value":' + as_json(serves.value, definition.type) if has_value else b""
        metadata = {"rule": rule, "ruleId": rule_id} if rule_id else {"rule": rule}
        end = orjson.dumps({"variant": serves.variant, "metadata": metadata})[1:]
        json = b"%b%b,%b" % (start, value, end)
        return cls(definition.key, rule, json, enabled=enabled, reason=reason, serves=serves, flag_type=definition.type)

    def with_change(self, row: PackedRow) -> Self:
        """The same resolution, with the organization and the number of the change that set the value."""
        origin = b',"sourceOrganizationId":%d,"changeNumber":%d' % (row[0], row[1])
        version = b"" if self.flag_type == FlagType.BOOLEAN else b',"version":%d' % row[1]
        return type(self)(
            self.key,
            self.rule,
            self.json[:-2] + origin + version + b"}}",
            enabled=self.enabled,
            reason=self.reason,
            serves=Served(self.variant, self.value),
            flag_type=self.flag_type,
        )


class SplitResolution(Resolution):
    """A flag that is on where nothing but the default rollout chooses the variant.

    `shares` has the resolution with each variant of the default rollout. Where it does not count, this is itself the
    resolution, with the default variant.
    """

    __slots__ = ("shares",)

    shares: Sequence[Resolution]

    def with_change(self, row: PackedRow) -> Self:
        """The same, also in each of the shares."""
        found = super().with_change(row)
        found.shares = [share if share.error is not None else share.with_change(row) for share in self.shares]
        return found


class FailedResolution(Resolution):
    """A flag that cannot be decided: a rollout lacks the targeting key or organization, or its hash is unknown here."""

    __slots__ = ()

    def __init__(self, key: str, error: type[FlagsiteError], why: str) -> None:
        json = _json({"key": key, "errorCode": ERROR_CODES[error], "errorDetails": why})
        super().__init__(key, Rule.ROLLOUT, json, enabled=None, reason=REASONS[Rule.ROLLOUT])
        self.error = error
        self.why = why


def _json(content: Mapping[str, object]) -> bytes:
    """The content as JSON, copied: what orjson returns keeps a buffer of kilobytes for itself."""
    return bytes(memoryview(orjson.dumps(content)))
