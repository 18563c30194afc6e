"""Flagsmith: the document of an environment, which its API gives to SDKs (`/api/v1/environment-document/`).

A feature is on or off, and segments override this. The override of the first segment in which a user is counts.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flags.errors import InvalidFlagFile
from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    Found,
    all_of,
    any_of,
    asks,
    limited,
    read_each,
    rules_of,
    typed,
)
from flags.moving.sources.segments import Segments, key_of, segment_rules
from flags.moving.sources.shares import in_buckets
from flags.targeting.attributes import TARGETING_KEY

OPERATORS = {"GREATER_THAN": "gt", "GREATER_THAN_INCLUSIVE": "gte", "LESS_THAN": "lt", "LESS_THAN_INCLUSIVE": "lte"}
VERSIONS = {"EQUAL": "semverEq", **{name: f"semver{op.title()}" for name, op in OPERATORS.items()}}
SEMVER = ":semver"
"""What a value ends with if it is a version."""
FLAGSMITH_HASH = 7
ALL, LEAST = 100, 1e-9
"""Per cent, and what counts as nothing beside it."""
IDENTITY = "Shares count environment and identifier, and not the number that a server of your own gives to an identity."
VALUE = "value"
"""The key of the variant of a feature with a value."""
PATH = "$."
"""How the names of properties begin that are paths in the context of an evaluation, and no traits."""
ATTRIBUTE = re.compile(r"\$\.identity\.traits\.(\w+)")
PATHS = {"$.environment.name": "name", "$.environment.key": "api_key"}
"""The paths to what is the same for all users, by its name in the file."""


def read(content: Any, environment: str = "") -> Found:
    """Return the features of a document of Flagsmith, and what has no equal. It has one environment.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("feature_states"), list):
        raise InvalidFlagFile('The file is not one of Flagsmith, which is an object with the list "feature_states".')
    listed = [each for each in content["feature_states"] if isinstance(each, dict)]
    states = [(_name(each), each) for each in listed]
    document = _Document(content)
    found = read_each(states, lambda key, state, notes: _Feature(key, state, document, notes).content())
    return found._replace(segments=document.segments.contents)


class _Document:
    """What the features of a document share."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        listed = (content.get("project") or {}).get("segments") or []
        self.listed = [{"id": place, **each} for place, each in enumerate(listed, 1) if isinstance(each, dict)]
        self.segments = Segments(dict(enumerate(self.listed)), self._segment)
        self.identities = content.get("identity_overrides") or []
        self.environment = str(content.get("api_key") or "")
        self._known = {path: str(content[name]) for path, name in PATHS.items() if name in content}
        """What is the same for all users, by its path."""

    def _segment(self, listed: Mapping[str, Any], _: Segments) -> dict[str, Any]:
        name, rules = str(listed.get("name") or ""), listed["rules"]
        condition = all_of(self._rule(each) for each in rules) if rules else NEVER
        return {"key": key_of(name, listed["id"]), "description": name, "rules": segment_rules(condition)}

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
        return any_of([*parts, *nested]) if kind == "ANY" and (parts or nested) else all_of([*parts, *nested])

    def _condition(self, given: Mapping[str, Any], *, negate: bool = False) -> Condition:
        """Return a condition. The value is a text, and is compared as what the trait of a user is."""
        op, value = str(given["operator"]), given.get("value") or ""
        turned = op.startswith("NOT_") is not negate
        name, op = str(given.get("property_") or ""), op.removeprefix("NOT_")
        if name in self._known and op == "EQUAL":
            return ALWAYS if (self._known[name] == value) is not turned else NEVER
        name = _attribute(name)
        if op in ("IS_SET", "IS_NOT_SET"):
            return asks(name, "exists", negate=(op == "IS_NOT_SET") is not negate)
        ours, values = _compared(op, value)
        return asks(name, ours, values, negate=turned, missing=negate) if values else ALWAYS if turned else NEVER


class _Feature:
    """One feature on its way into a definition."""

    def __init__(self, key: str, state: Mapping[str, Any], document: _Document, notes: list[Remark]) -> None:
        self.key, self.state, self.document, self.notes = key, state, document, notes
        self.value = state.get("feature_state_value")
        overrides = [override for _, override in self._overrides()]
        self.is_boolean = self.value in (None, "") and not any(map(_options, (state, *overrides)))
        self.values: list[Any] = [] if self.is_boolean else [self.value]

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        rules: list[dict[str, Any]] = []
        for identity in self.document.identities:
            for override in self._own(identity.get("identity_features") or []):
                if _options(override):
                    raise NoEqual(Issue.WEIGHTS, "The override of an identity has shares of values.")
                user = asks(TARGETING_KEY, "in", [str(identity["identifier"])])
                rules += rules_of(user, self._serve(override), "Override of an identity")
        for place, override in sorted(self._overrides(), key=lambda pair: _priority(pair[1])):
            condition = self.document.segments.asked([place])
            name = str(self.document.listed[place].get("name") or "")
            shares = self._shares(override)
            rules += rules_of(condition, shares, name) if shares else []
            rules += rules_of(condition, self._serve(override), name)
        shares = self._shares(self.state)
        flag: dict[str, Any] = {"enabled": bool(self.state.get("enabled")), "rules": limited(rules)}
        if self.is_boolean:
            return flag
        keys = [VALUE, *(f"{VALUE}-{number}" for number in range(2, len(self.values) + 1))]
        values = typed(list(zip(keys, self.values, strict=True)))
        return {**flag, **values, "defaultVariant": VALUE, "defaultRollout": shares}

    def _own(self, states: Any) -> list[Mapping[str, Any]]:
        return [each for each in states if _name(each) == self.key]

    def _overrides(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the overrides of segments, each with the place of its segment."""
        listed = enumerate(self.document.listed)
        return [(place, each) for place, segment in listed for each in self._own(segment.get("feature_states") or [])]

    def _shares(self, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the shares of values of a state, if it has some. Who has no key gets the value of the state."""
        options = _options(state)
        if not options:
            return None
        ranges: list[tuple[str, int]] = []
        below = 0.0
        for each in options:
            below = min(below + float(each["percentage_allocation"]), ALL)
            if round(below, 3) != below and abs(round(below, 3) - below) > LEAST:
                raise NoEqual(Issue.WEIGHTS, "A share has more than three decimals of a per cent.")
            ranges.append((self._variant(each["multivariate_feature_option"]["value"]), round(below * 1000)))
        ranges.append((self._variant(state.get("feature_state_value")), BUCKETS))
        note = Remark(self.key, Issue.IDENTITY, IDENTITY)
        self.notes += [note] if note not in self.notes else []
        number = state.get("django_id") or state["featurestate_uuid"]
        salt = f"{number},{self.document.environment}_"
        return in_buckets(ranges, TARGETING_KEY, salt, FLAGSMITH_HASH).serve(is_boolean=False)

    def _serve(self, override: Mapping[str, Any]) -> dict[str, Any]:
        if self.is_boolean:
            if override.get("feature_state_value") not in (None, ""):
                raise NoEqual(Issue.VALUE, "An override gives a value to a feature that has none.")
            return {"variant": "on" if override.get("enabled") else "off"}
        if not override.get("enabled"):
            raise NoEqual(Issue.VALUE, "An override switches a feature with a value off for a part of the users.")
        return {"variant": self._variant(override.get("feature_state_value"))}

    def _variant(self, value: Any) -> str:
        """Return the key of the variant with a value."""
        if value not in self.values:
            self.values.append(value)
        place = self.values.index(value) + 1
        return VALUE if place == 1 else f"{VALUE}-{place}"


def _compared(op: str, value: Any) -> tuple[str, list[Any]]:
    """Return the operator here, and the values that it compares with. Raises NoEqual."""
    if op == "IN":
        return "in", [each for text in _listed(value) for each in _text_or_whole(text)]
    text = str(value)
    if text.endswith(SEMVER):
        if op not in VERSIONS:
            raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r} for versions.")
        return VERSIONS[op], [text.removesuffix(SEMVER)]
    if op in OPERATORS:
        return OPERATORS[op], [_number(text)]
    if op == "EQUAL":
        return "in", _all_types(text)
    if op == "CONTAINS":
        return "contains", [text]
    raise NoEqual(Issue.OPERATOR, f"Flagsite has nothing like the operator {op!r}.")


def _options(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the values that a state shares out, in the order in which Flagsmith counts them."""
    listed = [each for each in state.get("multivariate_feature_state_values") or [] if each["percentage_allocation"]]
    return sorted(listed, key=lambda each: each.get("id") or UUID(each["mv_fs_value_uuid"]).int)


def _attribute(name: str) -> str:
    """Return the name of an attribute here. Raises NoEqual for a path to something else than a user or a trait."""
    if not name.startswith(PATH):
        return name
    if name == "$.identity.identifier":
        return TARGETING_KEY
    found = ATTRIBUTE.fullmatch(name)
    if found is None:
        raise NoEqual(Issue.OPERATOR, f"A segment asks for {name!r}, which is not a trait.")
    return found[1]


def _listed(value: Any) -> list[str]:
    """Return the texts of a list, which is an array, an array in a text, or a text with commas."""
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return [str(each) for each in value] if isinstance(value, list) else str(value).split(",")


def _text_or_whole(text: str) -> list[Any]:
    """Return what a text in a list stands for: itself, and the whole number that it is. No list has true and false."""
    return [text, int(text)] if re.fullmatch(r"-?(0|[1-9][0-9]*)", text, re.ASCII) else [text]


def _name(state: Mapping[str, Any]) -> str:
    """Return the name of the feature to which a state belongs."""
    feature = state.get("feature")
    return str(feature.get("name")) if isinstance(feature, dict) else ""


def _priority(override: Mapping[str, Any]) -> float:
    """Return the priority of an override: the lowest number counts first."""
    found = (override.get("feature_segment") or {}).get("priority")
    return float("inf") if found is None else float(found)


def _all_types(text: str) -> list[Any]:
    """Return what a text stands for: itself, the number that it is, and a boolean: all but false stands for true."""
    found = [text, text not in ("False", "false")]
    try:
        return [*found, _number(text)]
    except ValueError:
        return found


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
