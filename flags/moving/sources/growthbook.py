"""GrowthBook: the features as its API gives them to SDKs (`/api/features/…`, or `features.json`).

The first rule whose condition is true, and whose coverage includes the user, decides. Who is outside of the coverage
goes on to the next rule. A rollout here decides for all whom its rule matches, so only the last rule may have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.errors import InvalidFlagFile
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    all_of,
    any_of,
    asks,
    limited,
    read_each,
    rules_of,
    typed,
)

HASHES = {1: (5, 0.1), 2: (6, 0.01)}
"""By the version of GrowthBook's hash: the version here, and the per cent by which a coverage includes its end."""
NUMBERS = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
VERSIONS = {"$veq": "semverEq", "$vgt": "semverGt", "$vgte": "semverGte", "$vlt": "semverLt", "$vlte": "semverLte"}
USER = "id"


def read(content: Any, environment: str = "") -> tuple[list[dict[str, Any]], list[Remark]]:
    """Return the features of a file of GrowthBook, and what has no equal. It has one environment.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("features"), dict):
        raise InvalidFlagFile('The file is not one of GrowthBook, which is an object with the object "features".')
    groups = content.get("savedGroups") or {}
    return read_each(content["features"].items(), lambda key, flag, _: _Feature(key, flag, groups).content())


class _Feature:
    """One feature on its way into a definition."""

    def __init__(self, key: str, feature: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
        self.key, self.groups = key, groups
        self.rules = list(feature.get("rules") or [])
        self.default = feature.get("defaultValue")
        self.is_boolean = isinstance(self.default, bool)
        self.last = self.default
        """What counts where no rule does."""
        self.values: list[Any] = [] if self.is_boolean or self.default is None else [self.default]
        self.formulas: set[tuple[str, int]] = set()

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        rules: list[dict[str, Any]] = []
        for number, rule in enumerate(self.rules, 1):
            if "force" not in rule:
                raise NoEqual(Issue.WEIGHTS, "A rule is an experiment.")
            if rule.get("parentConditions") or rule.get("namespace") or rule.get("filters") or rule.get("range"):
                raise NoEqual(Issue.PREREQUISITE, "A rule asks for another feature, or for a part of a namespace.")
            condition, serve = self._condition(rule.get("condition") or {}), {"variant": self._key(rule["force"])}
            coverage = rule.get("coverage", 1)
            if coverage < 1:
                if number < len(self.rules):
                    raise NoEqual(Issue.FALL_THROUGH, "Who is outside of the coverage of a rule goes on to the next.")
                serve = self._share(rule, float(coverage))
                condition = all_of([condition, asks(serve["by"], "exists")])
            if [] in condition:
                self.last = rule["force"]
                break
            rules += rules_of(condition, serve)
        flag: dict[str, Any] = {"rules": limited(rules), "rolloutPercentage": None}
        if self.is_boolean:
            flag["enabled"] = self.last is True
        else:
            flag |= typed([(f"variant-{place}", value) for place, value in enumerate(self.values, 1)])
            flag |= {"enabled": self.last is not None}
            flag |= {} if self.last is None else {"defaultVariant": self._key(self.last)}
        if len(self.formulas) > 1:
            raise NoEqual(Issue.BUCKETS, "Its rules have several seeds.")
        for salt, version in self.formulas:
            flag |= {"salt": salt, "hashVersion": version}
        return flag

    def _key(self, value: Any) -> str:
        """Return the key of the variant with a value."""
        if self.is_boolean:
            if not isinstance(value, bool):
                raise NoEqual(Issue.VALUE, "The values of the feature have several types.")
            return "on" if value else "off"
        for place, known in enumerate(self.values, 1):
            if known == value and type(known) is type(value):
                return f"variant-{place}"
        self.values.append(value)
        return f"variant-{len(self.values)}"

    def _share(self, rule: Mapping[str, Any], coverage: float) -> dict[str, Any]:
        """Return the serve of a share of the users. GrowthBook includes the end of the share."""
        if not self.is_boolean or rule["force"] is not True or self.default is not False:
            raise NoEqual(Issue.WEIGHTS, "A share of the users gets something else than true in place of false.")
        version, more = HASHES[int(rule.get("hashVersion", 1))]
        self.formulas.add((str(rule.get("seed") or self.key), version))
        on = min(round(coverage * 100 + more, 3), 100.0) if coverage > 0 else 0.0
        return {"rollout": {"on": on, "off": round(100 - on, 3)}, "by": _attribute(rule.get("hashAttribute") or USER)}

    def _condition(self, given: Mapping[str, Any]) -> Condition:
        """Return a condition, which is written as for MongoDB."""
        parts: list[Condition] = []
        for name, asked in given.items():
            if name == "$and":
                parts.append(all_of(self._condition(each) for each in asked))
            elif name == "$or":
                parts.append(any_of(self._condition(each) for each in asked) if asked else ALWAYS)
            elif name.startswith("$"):
                raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {name!r}.")
            elif isinstance(asked, dict) and asked and all(op.startswith("$") for op in asked):
                parts += [self._comparison(_attribute(name), op, value) for op, value in asked.items()]
            else:
                parts.append(self._comparison(_attribute(name), "$eq", asked))
        return all_of(parts)

    def _comparison(self, name: str, op: str, value: Any) -> Condition:
        """Return one comparison. A missing attribute is unequal to everything, and in no list."""
        if op in ("$inGroup", "$notInGroup"):
            op, value = {"$inGroup": "$in", "$notInGroup": "$nin"}[op], self.groups[value]
        if op == "$exists":
            return asks(name, "exists", negate=not value)
        if value is None and op in ("$eq", "$ne"):
            return asks(name, "exists", negate=op == "$eq")
        if op in ("$eq", "$ne") and isinstance(value, str | int | float):
            return asks(name, "in", [value], negate=op == "$ne", missing=op == "$ne")
        if op in ("$in", "$nin") and isinstance(value, list):
            if not value:
                return NEVER if op == "$in" else ALWAYS
            return asks(name, "in", value, negate=op == "$nin", missing=op == "$nin")
        if op in NUMBERS and isinstance(value, int | float):
            return asks(name, NUMBERS[op], [value])
        if op in VERSIONS:
            return asks(name, VERSIONS[op], [value])
        if op == "$regex":
            return asks(name, "matches", [value])
        raise NoEqual(Issue.OPERATOR, f"Flagsite cannot say {op!r} of this value.")


def _attribute(name: str) -> str:
    return "targetingKey" if name == USER else name
