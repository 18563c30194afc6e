"""The ways in which a flag can be resolved: each is made once, with its JSON, and shared by every evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.engine import REASONS, Definition, Reason, Rule
from flags.serving.packed_states import PackedRow
from flagsite.core.errors import FlagsiteError

ERROR_CODES: Mapping[type[FlagsiteError], str] = {
    TargetingKeyMissing: "TARGETING_KEY_MISSING",
    UnknownHashVersion: "GENERAL",
}
"""OFREP's error code for each error with which a flag cannot be decided."""


class Resolution:
    """One result of evaluating a flag: the value, which is None for an error, and the flag's entry in OFREP's JSON."""

    __slots__ = ("enabled", "error", "json", "key", "reason", "rule", "why")

    def __init__(self, key: str, rule: Rule, json: bytes, *, enabled: bool | None, reason: Reason) -> None:
        self.key = key
        self.rule = rule
        self.reason = reason
        self.json = json
        self.enabled = enabled
        self.error: type[FlagsiteError] | None = None
        self.why = ""
        """The error in words."""

    @classmethod
    def by_rule(cls, definition: Definition, rule: Rule, *, enabled: bool, rule_id: str = "") -> Resolution:
        """The resolution of a flag by a rule that no change has a part in. `rule_id` is that of a targeting rule."""
        key, reason = definition.key, definition.reason_of(rule)
        content = {
            "key": key,
            "reason": reason,
            "value": enabled,
            "variant": "on" if enabled else "off",
            "metadata": {"rule": rule, "ruleId": rule_id} if rule_id else {"rule": rule},
        }
        return cls(key, rule, _json(content), enabled=enabled, reason=reason)

    def with_change(self, row: PackedRow) -> Resolution:
        """The same resolution, with the organization and the number of the change that set the value."""
        origin = b',"sourceOrganizationId":%d,"changeNumber":%d}}' % (row[0], row[1])
        return Resolution(self.key, self.rule, self.json[:-2] + origin, enabled=self.enabled, reason=self.reason)


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
