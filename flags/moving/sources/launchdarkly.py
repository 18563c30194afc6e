"""LaunchDarkly: the list of feature flags of its REST API, and the file of a relay or of the file data source.

A flag of the list has settings for each environment. The other files have one environment, and a flag has its settings
itself. Where a flag is on, its targets count first, then its rules in their order, then its fallthrough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flags.errors import InvalidFlagFile
from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
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
from flags.moving.sources.segments import Segments, segment_rules
from flags.moving.sources.shares import Shares, in_buckets
from flags.targeting.attributes import TARGETING_KEY
from flags.values.checks import VARIANT_KEY

LAUNCHDARKLY_HASH = 4
OPERATORS = {
    "in": "in", "startsWith": "startsWith", "endsWith": "endsWith", "contains": "contains", "matches": "matches",
    "lessThan": "lt", "lessThanOrEqual": "lte", "greaterThan": "gt", "greaterThanOrEqual": "gte",
    "before": "before", "after": "after",
    "semVerEqual": "semverEq", "semVerLessThan": "semverLt", "semVerGreaterThan": "semverGt",
}  # fmt: skip
TIMES = frozenset({"before", "after"})
USER_KINDS = frozenset({"", "user"})
OFF_IS_FALSE = "Off is false here, and the default of the code in LaunchDarkly."
OFF_SERVES_A_VALUE = "The flag is off and serves a value, so its targets and rules are not imported."


def read(content: Any, environment: str = "") -> Found:
    """Return the flags of a file of LaunchDarkly, and what has no equal.

    Args:
        content: the JSON of the file.
        environment: the environment, if the file has several.

    Raises InvalidFlagFile.
    """
    flags = _flags_of(content, environment)
    segments = Segments(_segments_of(content), _segment)
    known = {key: flag for key, flag in flags if isinstance(flag, dict)}
    found = read_each(flags, lambda key, flag, notes: _Flag(key, flag, segments, known, notes).content())
    return found._replace(segments=segments.contents)


def _segments_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the segments by their keys: of a relay, or the list of the REST API."""
    listed = content.get("segments") or {}
    listed = listed.get("items", listed) if isinstance(listed, dict) else listed
    if isinstance(listed, dict):
        return {key: {"key": key, **each} for key, each in listed.items() if isinstance(each, dict)}
    return {str(each.get("key")): each for each in listed if isinstance(each, dict)}


def _flags_of(content: Any, environment: str) -> list[tuple[str, Any]]:
    """Return the flags, each with its settings in the environment."""
    listed = content if isinstance(content, dict) else {}
    if not isinstance(listed.get("items"), list) and not isinstance(listed.get("flags"), dict):
        raise InvalidFlagFile('The file is not one of LaunchDarkly, which is an object with "items" or "flags".')
    if "items" not in content:
        return [(key, flag) for key, flag in content["flags"].items() if not _is_archived(flag)]
    items = [each for each in content["items"] if isinstance(each, dict) and not _is_archived(each)]
    known = sorted({name for each in items for name in each.get("environments") or {}})
    if not environment and len(known) > 1:
        raise InvalidFlagFile(f"The file has the environments {', '.join(known)}. Choose one with option environment.")
    if environment and environment not in known:
        raise InvalidFlagFile(f"The file has no environment {environment!r}. It has: {', '.join(known) or 'none'}.")
    chosen = environment or (known[0] if known else "")
    return [(str(each.get("key")), {**each, **(each.get("environments") or {}).get(chosen, {})}) for each in items]


def _is_archived(flag: Any) -> bool:
    return isinstance(flag, dict) and bool(flag.get("archived"))


class _Flag:
    """One flag on its way into a definition."""

    def __init__(
        self, key: str, flag: Mapping[str, Any], segments: Segments, known: Mapping[str, Any], notes: list[Remark]
    ) -> None:
        """`known` has all flags as they are in the file."""
        self.key, self.flag, self.segments, self.known, self.notes = key, flag, segments, known, notes
        described = _described(flag["variations"])
        self.values = [each["value"] for each in described]
        self.is_boolean = all(isinstance(value, bool) for value in self.values)
        self.keys = [("on" if value else "off") for value in self.values] if self.is_boolean else _keys(described)

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        flag = self.flag
        off = None if flag.get("offVariation") is None else self._variant_at(flag["offVariation"])
        if self.is_boolean and off == "on":
            raise NoEqual(Issue.VALUE, "Where the flag is off, it serves true.")
        is_on, needed = bool(flag.get("on")), flag.get("prerequisites") or []
        if self.is_boolean and off is None and (needed or not is_on):
            self.notes.append(Remark(self.key, Issue.VALUE, OFF_IS_FALSE))
        made: dict[str, Any] = {
            "description": str(flag.get("description") or ""),
            "tags": [str(tag) for tag in flag.get("tags") or []],
            "prerequisites": [self._prerequisite(each) for each in needed],
        }
        if self.is_boolean:
            return {**made, **self._ruled(), "killed": not is_on}
        made |= {**typed(list(zip(self.keys, self.values, strict=True))), "offVariant": off}
        if is_on or off is None:  # a killed flag serves no value
            return {**made, **self._ruled(), "killed": not is_on}
        if any(flag.get(name) for name in ("rules", "targets", "contextTargets")):
            self.notes.append(Remark(self.key, Issue.OFF, OFF_SERVES_A_VALUE))
        return {**made, **self._with_rest([], self._outcome(self._fallthrough())), "enabled": False}

    def _variant_at(self, number: int) -> str:
        """Return the key of a variant. Raises IndexError where there is none: LaunchDarkly does not count backwards."""
        if number < 0:
            raise IndexError(number)
        return self.keys[number]

    def _prerequisite(self, asked: Mapping[str, Any]) -> Any:
        """Return a prerequisite. In LaunchDarkly it has to be on, even if it has to serve what it serves when off."""
        key, number = str(asked["key"]), int(asked["variation"])
        needed = self.known.get(key) or {}
        described = _described(needed.get("variations") or [])
        if not 0 <= number < len(described):
            raise NoEqual(Issue.PREREQUISITE, f"The file has no flag {key!r}, or it has no such value.")
        is_boolean = all(isinstance(each["value"], bool) for each in described)
        if is_boolean and described[number]["value"] is True:
            return key
        if not needed.get("on") and (is_boolean or needed.get("offVariation") == number):
            raise NoEqual(Issue.PREREQUISITE, f"It needs a value of the flag {key!r}, which is off.")
        return {"flag": key, "is": "off"} if is_boolean else {"flag": key, "variant": _keys(described)[number]}

    def _ruled(self) -> dict[str, Any]:
        """Return the rules, and what counts where none of them matches."""
        flag = self.flag
        rules: list[dict[str, Any]] = []
        for target in [*(flag.get("targets") or []), *(flag.get("contextTargets") or [])]:
            if target.get("values"):
                _check_kind(target)
                found = asks("targetingKey", "in", [str(each) for each in target["values"]])
                rules += rules_of(found, {"variant": self._variant_at(target["variation"])}, "Individual targets")
        for rule in flag.get("rules") or []:
            condition = all_of(_clause(each, self.segments) for each in rule["clauses"])
            rules += self._rules(condition, self._outcome(rule), str(rule.get("description") or ""))
            if [] in condition:  # it decides for all
                return self._with_rest(rules, self._outcome(rule))
        return self._with_rest(rules, self._outcome(self._fallthrough()))

    def _fallthrough(self) -> Mapping[str, Any]:
        """Return the fallthrough. A flag that is off can lack one, as nothing asks for it."""
        given: Mapping[str, Any] = self.flag.get("fallthrough") or {}
        return given if given or self.flag.get("on") else {"variation": 0}

    def _rules(self, condition: Condition, outcome: Shares | str, name: str) -> list[dict[str, Any]]:
        """Return the rules for a condition. Who has not what a rollout counts gets its first variation."""
        asked = [clauses for clauses in condition if clauses]
        if isinstance(outcome, str):
            return rules_of(asked, {"variant": outcome}, name)
        rules = rules_of(asked, outcome.serve(is_boolean=self.is_boolean), name)
        first = {"variant": str(outcome.ranges[0][0])}
        return rules + (rules_of(asked, first, name) if outcome.by != TARGETING_KEY else [])

    def _with_rest(self, rules: list[dict[str, Any]], rest: Shares | str) -> dict[str, Any]:
        """Return the rules, and what counts where none of them matches."""
        serve = None if isinstance(rest, str) else rest.serve(is_boolean=self.is_boolean)
        first = rest if isinstance(rest, str) else str(rest.ranges[0][0])
        if not self.is_boolean:  # who has not what the default rollout counts gets the default variant
            return {"rules": limited(rules), "enabled": True, "defaultVariant": first, "defaultRollout": serve}
        if isinstance(rest, Shares) and serve and rest.by == TARGETING_KEY:
            share = {"rolloutPercentage": serve["rollout"]["on"], "salt": rest.salt}
            return {**share, "hashVersion": rest.hash_version, "rules": limited(rules), "enabled": True}
        if isinstance(rest, Shares) and serve:
            rules += rules_of(asks(rest.by, "exists"), serve, "All others")
        return {"rules": limited(rules), "enabled": first == "on"}

    def _outcome(self, given: Mapping[str, Any]) -> Shares | str:
        """Return the shares of variants that a rule or the fallthrough serves, or the variant."""
        if given.get("rollout") is None:
            return self._variant_at(given["variation"])
        rollout = given["rollout"]
        _check_kind(rollout)
        ranges: list[tuple[str, int]] = []
        below = 0
        for each in rollout["variations"]:
            below = min(below + int(each["weight"]), BUCKETS)
            ranges.append((self._variant_at(each["variation"]), below))
        ranges.append((ranges[-1][0], BUCKETS))  # weights that do not add up: the last variation gets the rest
        seed = rollout.get("seed")
        salt = f"{self.key}.{self.flag.get('salt', '')}" if seed is None else str(seed)
        by = "key" if rollout.get("kind") == "experiment" else rollout.get("bucketBy") or "key"
        shares = in_buckets(ranges, _attribute(by, rollout), salt, LAUNCHDARKLY_HASH)
        return str(shares.ranges[0][0]) if len(shares.ranges) == 1 else shares


def _clause(given: Mapping[str, Any], segments: Segments) -> Condition:
    """Return a clause. In LaunchDarkly too, a missing attribute matches nothing, also where it is negated."""
    op, values, negate = str(given["op"]), list(given["values"]), bool(given.get("negate"))
    if op == "segmentMatch":
        return segments.asked([str(each) for each in values], negate=negate)
    _check_kind(given)
    if op not in OPERATORS:
        raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r}.")
    if given["attribute"] == "kind":
        raise NoEqual(Issue.CONTEXT_KIND, "A clause asks for the kind of the context.")
    ours, attribute = OPERATORS[op], _attribute(str(given["attribute"]), given)
    compared = [_time(each) for each in values] if ours in TIMES else values
    if compared:
        return asks(attribute, ours, compared, negate=negate)
    return asks(attribute, "exists") if negate else NEVER


def _segment(listed: Mapping[str, Any], segments: Segments) -> dict[str, Any]:
    """Return a segment. Its included keys count first, then the excluded ones, then its rules, as here."""
    key = str(listed["key"])
    if listed.get("unbounded"):
        raise NoEqual(Issue.SEGMENT, f"The segment {key!r} is a big one, whose users the file does not have.")
    rules: list[Condition] = []
    for rule in listed.get("rules") or []:
        if rule.get("weight") is not None:
            raise NoEqual(Issue.SEGMENT, f"The segment {key!r} has a share of users.")
        rules.append(all_of(_clause(each, segments) for each in rule["clauses"]))
    return {
        "key": key,
        "description": str(listed.get("description") or listed.get("name") or ""),
        "tags": [str(tag) for tag in listed.get("tags") or []],
        "rules": segment_rules(any_of(rules)),
        **{name: _keys_in(listed, name) for name in ("included", "excluded")},
    }


def _keys_in(listed: Mapping[str, Any], name: str) -> list[str]:
    """Return the keys of users that a segment includes or excludes."""
    found = [str(each) for each in listed.get(name) or []]
    for target in listed.get(f"{name}Contexts") or []:
        _check_kind(target)
        found += [str(each) for each in target.get("values") or []]
    return list(dict.fromkeys(found))


def _check_kind(given: Mapping[str, Any]) -> None:
    if str(given.get("contextKind") or "") not in USER_KINDS:
        raise NoEqual(Issue.CONTEXT_KIND, f"It asks for the context kind {given['contextKind']!r}.")


def _attribute(name: str, given: Mapping[str, Any]) -> str:
    """Return the name of an attribute here. With a context kind beside it, slashes make it a path: here with dots."""
    if name == "key":
        return TARGETING_KEY
    if not name.startswith("/") or "contextKind" not in given:
        return name
    parts = name[1:].split("/")
    if not all(parts) or re.search("~(?![01])", name):
        raise NoEqual(Issue.FORM, f"{name!r} leads to no attribute.")
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _described(listed: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return values as the REST API has them: each with its value, and perhaps a name."""
    return [each if isinstance(each, dict) and "value" in each else {"value": each} for each in listed]


def _keys(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of variants: the names of variations if they can be keys, and else numbers."""
    names = [str(each.get("name") or "") for each in described]
    if len(set(names)) == len(names) and all(VARIANT_KEY.fullmatch(name) for name in names):
        return names
    return [f"variant-{number}" for number in range(1, len(described) + 1)]


def _time(value: Any) -> str:
    """Return a time as a text: LaunchDarkly has milliseconds too."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        raise NoEqual(Issue.FORM, "A clause compares a time with true or false.")
    return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
