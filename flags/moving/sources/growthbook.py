"""GrowthBook: the features as its API gives them to SDKs (`/api/features/…`, or `features.json`).

The first rule whose condition is true, and whose shares include the user, decides. Who is outside of them goes on to
the next rule. A rule forces a value, perhaps for a part of the users, or it is an experiment, which gives parts of the
users values of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, nextafter
from typing import Any

from flags.errors import InvalidFlagFile
from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    Found,
    absent,
    all_of,
    any_of,
    asks,
    is_met_by_0,
    limited,
    opposite,
    read_each,
    typed,
)
from flags.moving.sources.shares import Part, Shares, Step, in_order, shares_of
from flags.targeting.operators import is_number
from flags.values.checks import VARIANT_KEY

HASHES = {1: 5, 2: 6}
"""By the version of GrowthBook's hash: the version here."""
LEAST_SUM, MOST_SUM = 0.99, 1.01
"""Weights that do not add up to about 1 count as equal ones."""
NUMBERS = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
VERSIONS = {"$veq": "semverEq", "$vgt": "semverGt", "$vgte": "semverGte", "$vlt": "semverLt", "$vlte": "semverLte"}
VERSIONS["$vne"] = VERSIONS["$veq"]
LOWEST = frozenset({"$vlt", "$vlte", "$vne"})
"""The operators that match a missing version, which is below all others."""
LISTS = frozenset({"$in", "$nin", "$ini", "$nini"})
OF_ELEMENTS = frozenset({"$eq", "$in", "$ini", "$regex", "$regexi", *NUMBERS, *VERSIONS}) - {"$vne"}
"""The operators that may be asked of one element. The opposite of others would be asked of all elements here."""
USER = "id"
STICKY = "An experiment remembers the variation of a user. Flagsite does not."


def read(content: Any, environment: str = "") -> Found:
    """Return the features of a file of GrowthBook, and what has no equal. It has one environment.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("features"), dict):
        raise InvalidFlagFile('The file is not one of GrowthBook, which is an object with the object "features".')
    features, groups = content["features"], content.get("savedGroups") or {}
    return read_each(
        features.items(), lambda key, feature, notes: _Feature(key, feature, features, groups, notes).content()
    )


class _Feature:
    """One feature on its way into a definition."""

    def __init__(
        self, key: str, feature: Mapping[str, Any], features: Mapping[str, Any], groups: Mapping[str, Any],
        notes: list[Remark],
    ) -> None:  # fmt: skip
        """`features` has all features of the file, which rules can ask for."""
        self.key, self.features, self.groups, self.notes = key, features, groups, notes
        self.rules = list(feature.get("rules") or [])
        self.default = feature.get("defaultValue")
        self.is_boolean = isinstance(self.default, bool)
        self.values: list[Any] = []
        """The values of the feature, of which each has a variant."""
        self.keys: list[str] = []
        self.names: dict[int, str] = {}
        """The names of variations, by the place of their value."""

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        prerequisites, steps = self._prerequisites(), []
        self._collect()
        self.keys = self._keys()
        default = None if self.default is None else self._key(self.default)
        for rule in self.rules:
            outcome = self._outcome(rule)
            if outcome is not None:
                steps.append(Step(self._condition(rule.get("condition") or {}), outcome, str(rule.get("name") or "")))
        rules, last = in_order(steps, default, is_boolean=self.is_boolean)
        flag: dict[str, Any] = {"rules": limited(rules), "prerequisites": prerequisites}
        if self.is_boolean:
            return flag | {"enabled": last == "on"}
        values = typed(list(zip(self.keys, self.values, strict=True)))
        return {**flag, **values, "enabled": last is not None, "defaultVariant": last}

    def _prerequisites(self) -> list[Any]:
        """Return the features that the first rules ask for, without which the feature has no value."""
        found: list[Any] = []
        while self.rules and self.rules[0].get("parentConditions"):
            rule = self.rules[0]
            if not all(each.get("gate") for each in rule["parentConditions"]):
                break
            found += [self._prerequisite(each) for each in rule["parentConditions"]]
            self.rules[0] = {name: value for name, value in rule.items() if name != "parentConditions"}
            if "force" not in rule and "variations" not in rule:
                del self.rules[0]
            else:
                break
        if found and self.is_boolean:
            detail = "Without a feature that it needs, it is false here, and the default of the code there."
            self.notes.append(Remark(self.key, Issue.VALUE, detail))
        return found

    def _prerequisite(self, asked: Mapping[str, Any]) -> Any:
        key, wanted = str(asked["id"]), asked["condition"].get("value")
        needed = self.features.get(key) or {}
        is_gated = any(rule.get("parentConditions") for rule in needed.get("rules") or [])
        if len(asked["condition"]) == 1 and isinstance(needed.get("defaultValue"), bool):
            if wanted is True or wanted in ({"$eq": True}, {"$ne": False}):
                return key
            if not is_gated and (wanted is False or wanted in ({"$eq": False}, {"$ne": True})):
                return {"flag": key, "is": "off"}
        raise NoEqual(Issue.PREREQUISITE, f"A rule asks {key!r} for something else than true or false.")

    def _collect(self) -> None:
        """Collect the values that the feature can have, and the names that variations give them. Raises NoEqual."""
        listed = [(self.default, "")] if self.default is not None else []
        for rule in self.rules:
            variants = rule.get("variations") or []
            names = [_name(meta) for meta in rule.get("meta") or [{}] * len(variants)]
            listed += [(rule["force"], "")] if "force" in rule else list(zip(variants, names, strict=True))
        for value, name in listed:
            if value is None or isinstance(value, bool) is not self.is_boolean:
                raise NoEqual(Issue.VALUE, "A rule gives no value, or the values of the feature have several types.")
            if self._place(value) is None:
                self.values.append(value)
            if name:
                self.names.setdefault(self._place(value) or 0, name)

    def _place(self, value: Any) -> int | None:
        """Return the place of a value. 1 and 1.0 are two values."""
        places = (place for place, each in enumerate(self.values) if each == value and type(each) is type(value))
        return next(places, None)

    def _keys(self) -> list[str]:
        """Return the keys of the variants: the names of variations if all can be keys, and else numbers."""
        numbered = [f"variant-{place}" for place in range(1, len(self.values) + 1)]
        names = [self.names.get(place, key) for place, key in enumerate(numbered)]
        is_named = len(set(names)) == len(names) and all(VARIANT_KEY.fullmatch(name) for name in names)
        return names if is_named else numbered

    def _key(self, value: Any) -> str:
        """Return the key of the variant with a value."""
        if self.is_boolean:
            return "on" if value else "off"
        return self.keys[self._place(value) or 0]

    def _outcome(self, rule: Mapping[str, Any]) -> Shares | str | None:
        """Return whom a rule gives what. None for a rule that GrowthBook skips."""
        if rule.get("parentConditions"):
            raise NoEqual(Issue.PREREQUISITE, "A rule asks for another feature.")
        if rule.get("contextualVariations") or rule.get("contextualBanditRef"):
            raise NoEqual(Issue.STRATEGY, "A rule is a bandit, which learns.")
        if "force" in rule:
            return self._forced(rule)
        variants = rule.get("variations")
        if variants is None or len(variants) < 2:  # noqa: PLR2004 - GrowthBook skips it
            return None
        if (rule.get("fallbackAttribute") or rule.get("minBucketVersion")) and not rule.get("disableStickyBucketing"):
            raise NoEqual(Issue.UNIT, STICKY)
        metas = rule.get("meta") or [{}] * len(variants)
        keys = [
            None if meta.get("passthrough") else self._key(value) for value, meta in zip(variants, metas, strict=True)
        ]
        ranges = [(float(start), float(end)) for start, end in rule.get("ranges") or _ranges(rule, len(variants))]
        found = self._shares(rule, [(*ends, key) for ends, key in zip(ranges, keys, strict=True)], rule.get("key"))
        return self._within(rule, found)

    def _forced(self, rule: Mapping[str, Any]) -> Shares | str:
        """Return whom a forced value is for. A coverage includes its end, and whoever lacks the attribute is out."""
        key, coverage = self._key(rule["force"]), rule.get("coverage")
        if rule.get("range"):
            start, end = map(float, rule["range"])
            return self._within(rule, self._shares(rule, [(start, end, key)]))
        if coverage is None and not rule.get("filters"):
            return key
        if coverage is None:
            return self._within(rule, replace(self._filters(rule)[0], ranges=((key, BUCKETS),)))
        if rule.get("fallbackAttribute"):
            raise NoEqual(Issue.UNIT, "A rollout counts another attribute where the first one is missing.")
        end = nextafter(coverage, inf) if coverage > 0 else 0.0
        return self._within(rule, self._shares(rule, [(0.0, end, key)]))

    def _shares(self, rule: Mapping[str, Any], parts: Sequence[Part], salt: Any = None) -> Shares:
        by = _attribute(str(rule.get("hashAttribute") or USER))
        version = HASHES[int(rule.get("hashVersion") or 1)]
        return shares_of(parts, by, str(rule.get("seed") or salt or self.key), version)

    def _within(self, rule: Mapping[str, Any], shares: Shares) -> Shares:
        """Return the shares of those only whom the filters and the namespace of a rule let in."""
        for each in self._filters(rule):
            shares = shares.within(each)
        if rule.get("namespace") and not rule.get("filters") and "force" not in rule:
            name, start, end = rule["namespace"]
            shares = shares.within(shares_of([(float(start), float(end), "in")], shares.by, f"__{name}", HASHES[1]))
        return shares

    def _filters(self, rule: Mapping[str, Any]) -> list[Shares]:
        found = []
        for each in rule.get("filters") or []:
            parts: list[Part] = [(float(start), float(end), "in") for start, end in each["ranges"]]
            by, version = _attribute(str(each.get("attribute") or USER)), HASHES[int(each.get("hashVersion") or 2)]
            found.append(shares_of(parts, by, str(each.get("seed") or ""), version))
        return found

    def _condition(self, given: Mapping[str, Any]) -> Condition:
        """Return a condition, which is written as for MongoDB."""
        parts: list[Condition] = []
        for name, asked in given.items():
            if name == "$not":
                parts.append(opposite(self._condition(asked)))
            elif name == "$and":
                parts.append(all_of(self._condition(each) for each in asked))
            elif name in ("$or", "$nor"):
                found = any_of(self._condition(each) for each in asked) if asked else ALWAYS
                parts.append(found if name == "$or" else opposite(found))
            else:
                parts.append(self._asked(_attribute(name), asked))
        return all_of(parts)

    def _asked(self, name: str, asked: Any) -> Condition:
        """Return what is asked of one attribute: several comparisons, or the value that it has to have."""
        if isinstance(asked, dict) and asked and all(op.startswith("$") for op in asked):
            return all_of(self._comparison(name, op, value) for op, value in asked.items())
        return self._comparison(name, "$eq", asked)

    def _elements(self, name: str, op: str, value: Any) -> Condition:
        """Return what is asked of the elements of an array. Raises NoEqual."""
        note = Remark(self.key, Issue.ARRAYS, f"GrowthBook asks for elements of an array. Send {name!r} as an array.")
        self.notes += [note] if note not in self.notes else []
        if op == "$elemMatch":
            asked = dict(value)
            if len(asked) != 1 or not asked.keys() <= OF_ELEMENTS or None in asked.values():
                raise NoEqual(Issue.OPERATOR, "Flagsite cannot ask one element of an array for several things.")
            found = self._asked(name, asked)
            return [clauses for clauses in found if absent(name) not in clauses]
        if not isinstance(value, list):
            raise NoEqual(Issue.OPERATOR, f"Flagsite cannot say {op!r} of this value.")
        return all_of([asks(name, "exists"), *(asks(name, "in", [each], ignore_case=op == "$alli") for each in value)])

    def _comparison(self, name: str, op: str, value: Any) -> Condition:
        """Return one comparison. A missing attribute is unequal to everything, in no list, and 0 beside numbers."""
        if op in ("$inGroup", "$notInGroup"):
            op, value = {"$inGroup": "$in", "$notInGroup": "$nin"}[op], self.groups[value]
        if op == "$not":
            return opposite(self._asked(name, value))
        if op in ("$elemMatch", "$all", "$alli"):
            return self._elements(name, op, value)
        return _compared(name, op, value)


def _compared(name: str, op: str, value: Any) -> Condition:
    """Return a comparison with a value. Raises NoEqual."""
    if op == "$exists":
        return asks(name, "exists", negate=not value)
    if value is None and op in ("$eq", "$ne"):
        return asks(name, "exists", negate=op == "$eq")
    if op in ("$eq", "$ne") and isinstance(value, str | int | float):
        return asks(name, "in", [value], negate=op == "$ne", missing=op == "$ne")
    if op in LISTS:
        return _listed(name, op, value)
    if op in NUMBERS and is_number(value):
        return asks(name, NUMBERS[op], [value], missing=is_met_by_0(NUMBERS[op], value))
    if op in VERSIONS:
        return asks(name, VERSIONS[op], [value], negate=op == "$vne", missing=op in LOWEST)
    if op in ("$regex", "$regexi"):
        return asks(name, "matches", [value], ignore_case=op == "$regexi")
    raise NoEqual(Issue.OPERATOR, f"Flagsite cannot say {op!r} of this value.")


def _listed(name: str, op: str, value: Any) -> Condition:
    """Return whether an attribute is in a list. What is no list has nothing in it, and nothing is outside of it."""
    is_in = op in ("$in", "$ini")
    if not isinstance(value, list):
        return NEVER
    if not value:
        return NEVER if is_in else ALWAYS
    return asks(name, "in", value, negate=not is_in, missing=not is_in, ignore_case=op in ("$ini", "$nini"))


def _attribute(name: str) -> str:
    return "targetingKey" if name == USER else name


def _name(meta: Mapping[str, Any]) -> str:
    """Return the name that a variation has as a key. The numbers that GrowthBook gives are none."""
    key = str(meta.get("key") or "")
    return str(meta.get("name") or "") if key.isdigit() or not key else key


def _ranges(rule: Mapping[str, Any], number: int) -> list[tuple[float, float]]:
    """Return the ranges of an experiment by its weights, of which a coverage takes the first part each."""
    weights, coverage = rule.get("weights"), rule.get("coverage", 1)
    share = min(max(float(1 if coverage is None else coverage), 0.0), 1.0)
    if not weights or len(weights) != number or not LEAST_SUM <= sum(weights) <= MOST_SUM:
        weights = [1 / number] * number
    found, start = [], 0.0
    for weight in weights:
        found.append((start, start + share * weight))
        start += weight
    return found
