"""Flagsmith: the document of an environment, which its API gives to SDKs (`/api/v1/environment-document/`).

A feature is on or off, and segments override this. The override of the first segment in which a user is counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.errors import InvalidFlagFile
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import Condition, all_of, any_of, asks, limited, read_each, rules_of, typed

OPERATORS = {"GREATER_THAN": "gt", "GREATER_THAN_INCLUSIVE": "gte", "LESS_THAN": "lt", "LESS_THAN_INCLUSIVE": "lte"}
VERSIONS = {"EQUAL": "semverEq", **{name: f"semver{op.title()}" for name, op in OPERATORS.items()}}
SEMVER = ":semver"
"""What a value ends with if it is a version."""
VALUE = "value"
"""The key of the variant of a feature with a value."""


def read(content: Any, environment: str = "") -> tuple[list[dict[str, Any]], list[Remark]]:
    """Return the features of a document of Flagsmith, and what has no equal. It has one environment.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("feature_states"), list):
        raise InvalidFlagFile('The file is not one of Flagsmith, which is an object with the list "feature_states".')
    segments = (content.get("project") or {}).get("segments") or []
    identities = content.get("identity_overrides") or []
    listed = [each for each in content["feature_states"] if isinstance(each, dict)]
    states = [(_name(each), each) for each in listed]
    return read_each(states, lambda key, state, notes: _Feature(key, state, segments, identities, notes).content())


class _Feature:
    """One feature on its way into a definition."""

    def __init__(self, key: str, state: Mapping[str, Any], segments: Any, identities: Any, notes: list[Remark]) -> None:
        self.key, self.state, self.notes = key, state, notes
        self.segments, self.identities = segments, identities
        self.value = state.get("feature_state_value")
        self.is_boolean = self.value in (None, "")
        self.values: list[Any] = [] if self.is_boolean else [self.value]

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        rules: list[dict[str, Any]] = []
        for identity in self.identities:
            for override in self._own(identity.get("identity_features") or []):
                user = asks("targetingKey", "in", [str(identity["identifier"])])
                rules += rules_of(user, self._serve(override), "Override of an identity")
        for segment, override in sorted(self._overrides(), key=lambda pair: _priority(pair[1])):
            serve = self._serve(override)
            condition = all_of(self._rule(each) for each in segment["rules"])
            rules += rules_of(condition, serve, str(segment.get("name") or ""))
        if self.state.get("multivariate_feature_state_values"):
            raise NoEqual(Issue.WEIGHTS, "The feature has shares of values.")
        enabled = bool(self.state.get("enabled"))
        flag: dict[str, Any] = {"enabled": enabled, "rules": limited(rules), "rolloutPercentage": None}
        if self.is_boolean:
            return flag
        keys = [VALUE, *(f"{VALUE}-{number}" for number in range(2, len(self.values) + 1))]
        return flag | typed(list(zip(keys, self.values, strict=True))) | {"defaultVariant": VALUE}

    def _own(self, states: Any) -> list[Mapping[str, Any]]:
        return [each for each in states if _name(each) == self.key]

    def _overrides(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        return [(segment, each) for segment in self.segments for each in self._own(segment.get("feature_states") or [])]

    def _serve(self, override: Mapping[str, Any]) -> dict[str, Any]:
        if override.get("multivariate_feature_state_values"):
            raise NoEqual(Issue.WEIGHTS, "An override has shares of values.")
        if self.is_boolean:
            if override.get("feature_state_value") not in (None, ""):
                raise NoEqual(Issue.VALUE, "An override gives a value to a feature that has none.")
            return {"variant": "on" if override.get("enabled") else "off"}
        if not override.get("enabled"):
            raise NoEqual(Issue.VALUE, "An override switches a feature with a value off for a part of the users.")
        value = override.get("feature_state_value")
        if value not in self.values:
            self.values.append(value)
        place = self.values.index(value) + 1
        return {"variant": VALUE if place == 1 else f"{VALUE}-{place}"}

    def _rule(self, rule: Mapping[str, Any]) -> Condition:
        """Return a rule of a segment: all, any or none of its conditions and rules."""
        kind = rule["type"]
        if kind == "NONE" and rule.get("rules"):
            raise NoEqual(Issue.SEGMENT, "A segment asks for none of several rules.")
        if kind == "NONE":
            return all_of(self._condition(each, negate=True) for each in rule.get("conditions") or [])
        conditions = rule.get("conditions") or []
        parts = [self._condition(each) for each in conditions]
        nested = [self._rule(each) for each in rule.get("rules") or []]
        own = (any_of(parts) if kind == "ANY" else all_of(parts)) if parts else all_of([])
        return all_of([own, *nested])

    def _condition(self, given: Mapping[str, Any], *, negate: bool = False) -> Condition:
        """Return a condition. The value is a text, and is compared as what the trait of a user is."""
        op, name, value = str(given["operator"]), str(given.get("property_") or ""), str(given.get("value") or "")
        if op in ("IS_SET", "IS_NOT_SET"):
            return asks(name, "exists", negate=(op == "IS_NOT_SET") is not negate)
        missing, turned = negate, op.startswith("NOT_") is not negate
        op = op.removeprefix("NOT_")
        if value.endswith(SEMVER):
            if op not in VERSIONS:
                raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r} for versions.")
            return asks(name, VERSIONS[op], [value.removesuffix(SEMVER)], negate=turned, missing=missing)
        if op in OPERATORS:
            return asks(name, OPERATORS[op], [_number(value)], negate=turned, missing=missing)
        if op == "EQUAL":
            return asks(name, "in", _all_types(value), negate=turned, missing=missing)
        if op == "IN":
            listed = [each for text in value.split(",") for each in _all_types(text)]
            return asks(name, "in", listed, negate=turned, missing=missing)
        if op == "CONTAINS":
            return asks(name, "contains", [value], negate=turned, missing=missing)
        raise NoEqual(Issue.OPERATOR, f"Flagsite has nothing like the operator {op!r}.")


def _name(state: Mapping[str, Any]) -> str:
    """Return the name of the feature to which a state belongs."""
    feature = state.get("feature")
    return str(feature.get("name")) if isinstance(feature, dict) else ""


def _priority(override: Mapping[str, Any]) -> float:
    """Return the priority of an override: the lowest number counts first."""
    found = (override.get("feature_segment") or {}).get("priority")
    return float("inf") if found is None else float(found)


def _all_types(text: str) -> list[Any]:
    """Return what a text stands for: itself, and the number, true or false that it is."""
    if text in ("true", "True"):
        return [text, True]
    if text in ("false", "False"):
        return [text, False]
    try:
        return [text, _number(text)]
    except ValueError:
        return [text]


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
