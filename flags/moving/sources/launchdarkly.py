"""LaunchDarkly: the list of feature flags of its REST API, and the file of a relay or of the file data source.

A flag of the list has settings for each environment. The other files have one environment, and a flag has its settings
itself. Where a flag is on, its targets count first, then its rules in their order, then its fallthrough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flags.errors import InvalidFlagFile
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    NEVER,
    Condition,
    References,
    all_of,
    any_of,
    asks,
    limited,
    read_each,
    rules_of,
    typed,
)
from flags.moving.sources.shares import shared_out
from flags.values.checks import VARIANT_KEY

LAUNCHDARKLY_HASH = 4
WHOLE = 100_000
"""The sum of the weights of a rollout."""
OPERATORS = {
    "in": "in", "startsWith": "startsWith", "endsWith": "endsWith", "contains": "contains", "matches": "matches",
    "lessThan": "lt", "lessThanOrEqual": "lte", "greaterThan": "gt", "greaterThanOrEqual": "gte",
    "before": "before", "after": "after",
    "semVerEqual": "semverEq", "semVerLessThan": "semverLt", "semVerGreaterThan": "semverGt",
}  # fmt: skip
TIMES = frozenset({"before", "after"})
USER_KINDS = frozenset({"", "user"})


def read(content: Any, environment: str = "") -> tuple[list[dict[str, Any]], list[Remark]]:
    """Return the flags of a file of LaunchDarkly, and what has no equal.

    Args:
        content: the JSON of the file.
        environment: the environment, if the file has several.

    Raises InvalidFlagFile.
    """
    flags = _flags_of(content, environment)
    segments = content.get("segments") or {} if isinstance(content.get("segments"), dict) else {}
    known = {key: flag.get("variations") or [] for key, flag in flags if isinstance(flag, dict)}
    return read_each(flags, lambda key, flag, notes: _Flag(key, flag, segments, known, notes).content())


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
        self, key: str, flag: Mapping[str, Any], segments: Mapping[str, Any], known: Mapping[str, Any],
        notes: list[Remark],
    ) -> None:  # fmt: skip
        """`known` has the values of all flags as they are in the file."""
        self.key, self.flag, self.segments, self.known, self.notes = key, flag, segments, known, notes
        described = _described(flag["variations"])
        self.values = [each["value"] for each in described]
        self.is_boolean = all(isinstance(value, bool) for value in self.values)
        self.keys = [("on" if value else "off") for value in self.values] if self.is_boolean else _keys(described)
        self.salts: set[str] = set()
        self.references = References()

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        flag = self.flag
        off = None if flag.get("offVariation") is None else self.keys[flag["offVariation"]]
        if self.is_boolean and off == "on":
            raise NoEqual(Issue.VALUE, "Where the flag is off, it serves true.")
        made: dict[str, Any] = {
            "description": str(flag.get("description") or ""),
            "tags": [str(tag) for tag in flag.get("tags") or []],
            "prerequisites": [self._prerequisite(each) for each in flag.get("prerequisites") or []],
        }
        if not flag.get("on") and not self.is_boolean:
            if flag.get("rules") or flag.get("targets"):
                detail = "The flag is off, so its targets and rules are not imported."
                self.notes.append(Remark(self.key, Issue.OFF, detail))
            made |= {**typed(list(zip(self.keys, self.values, strict=True))), "enabled": False, "offVariant": off}
            return made | {"rules": [], "defaultVariant": self.keys[flag.get("fallthrough", {}).get("variation") or 0]}
        made |= self._ruled()
        if self.is_boolean:
            made |= {"killed": not flag.get("on")}
        else:
            made |= {**typed(list(zip(self.keys, self.values, strict=True))), "offVariant": off}
        if len(self.salts) > 1:
            raise NoEqual(Issue.BUCKETS, "Its rollouts have several seeds.")
        return made | ({"salt": self.salts.pop(), "hashVersion": LAUNCHDARKLY_HASH} if self.salts else {})

    def _prerequisite(self, needed: Mapping[str, Any]) -> str:
        values = [each["value"] for each in _described(self.known.get(str(needed["key"])) or [])]
        if values[needed["variation"] : needed["variation"] + 1] != [True]:
            raise NoEqual(Issue.PREREQUISITE, "A prerequisite asks for something else than true.")
        return str(needed["key"])

    def _ruled(self) -> dict[str, Any]:
        """Return the rules, and what counts where none of them matches."""
        flag = self.flag
        rules: list[dict[str, Any]] = []
        for target in [*(flag.get("targets") or []), *(flag.get("contextTargets") or [])]:
            if target.get("values"):
                self._check_kind(target)
                found = asks("targetingKey", "in", [str(each) for each in target["values"]])
                rules += rules_of(found, {"variant": self.keys[target["variation"]]}, "Individual targets")
        for rule in flag.get("rules") or []:
            condition = all_of(self._clause(each) for each in rule["clauses"])
            serve = self._serve(rule)
            self._check_unit(serve)
            rules += rules_of(condition, serve, str(rule.get("description") or ""))
        rest = self._serve(flag["fallthrough"])
        made: dict[str, Any] = {"rules": limited(rules), "rolloutPercentage": None}
        if "rollout" in rest:
            if not self.is_boolean:  # who has no key gets the first variant, as in LaunchDarkly
                first = rest["ranges"][0]["variant"]
                rules += rules_of(asks(rest["by"], "exists"), rest, "All others")
                return made | {"rules": limited(rules), "enabled": True, "defaultVariant": first}
            self._check_unit(rest)
            return made | {"enabled": True, "rolloutPercentage": rest["rollout"]["on"]}
        if self.is_boolean:
            return made | {"enabled": rest["variant"] == "on"}
        return made | {"enabled": True, "defaultVariant": rest["variant"]}

    def _serve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a rule or the fallthrough serves. A share of true has to come first, as the lowest buckets."""
        if given.get("rollout") is None:
            return {"variant": self.keys[given["variation"]]}
        rollout = given["rollout"]
        self._check_kind(rollout)
        if rollout.get("kind", "rollout") != "rollout":
            raise NoEqual(Issue.WEIGHTS, "A rollout is an experiment.")
        shares = [(self.keys[each["variation"]], each["weight"]) for each in rollout["variations"] if each["weight"]]
        if len(shares) == 1:
            return {"variant": shares[0][0]}
        if sum(weight for _, weight in shares) != WHOLE:
            raise NoEqual(Issue.WEIGHTS, "The shares of a rollout do not add up.")
        seed = rollout.get("seed")
        salt = f"{self.key}.{self.flag.get('salt', '')}" if seed is None else str(seed)
        by = self._attribute(rollout.get("bucketBy") or "key")
        if not self.is_boolean:
            return shared_out([(key, weight / 1000) for key, weight in shares], by, salt, LAUNCHDARKLY_HASH)
        if [key for key, _ in shares] != ["on", "off"]:
            raise NoEqual(Issue.WEIGHTS, "The shares of a rollout are not those of true and then of false.")
        self.salts.add(salt)
        on = shares[0][1] / 1000
        return {"rollout": {"on": on, "off": round(100 - on, 3)}, "by": by}

    def _check_unit(self, serve: Mapping[str, Any]) -> None:
        """Check that all users have what a share counts. In LaunchDarkly, who has it not gets the first variation."""
        if serve.get("by", "targetingKey") != "targetingKey":
            raise NoEqual(Issue.UNIT, f"A rollout counts {serve['by']!r}, which users may not have.")

    def _clause(self, given: Mapping[str, Any]) -> Condition:
        """Return a clause. In LaunchDarkly too, a missing attribute matches nothing, also where it is negated."""
        op, values, negate = str(given["op"]), list(given["values"]), bool(given.get("negate"))
        if op == "segmentMatch":
            if negate:
                raise NoEqual(Issue.SEGMENT, "A clause asks for who is not in a segment.")
            return any_of(self._segment(str(each)) for each in values)
        self._check_kind(given)
        if op not in OPERATORS:
            raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r}.")
        if given["attribute"] == "kind":
            raise NoEqual(Issue.CONTEXT_KIND, "A clause asks for the kind of the context.")
        ours = OPERATORS[op]
        compared = [_time(each) for each in values] if ours in TIMES else values
        return asks(self._attribute(given["attribute"]), ours, compared, negate=negate) if compared else NEVER

    def _segment(self, key: str) -> Condition:
        self.references.follow()
        segment = self.segments.get(key)
        if not isinstance(segment, dict):
            raise NoEqual(Issue.SEGMENT, f"The file does not say who is in the segment {key!r}.")
        if segment.get("excluded") or segment.get("unbounded") or segment.get("includedContexts"):
            raise NoEqual(Issue.SEGMENT, f"The segment {key!r} excludes users, or is a big one.")
        parts: list[Condition] = []
        if segment.get("included"):
            parts.append(asks("targetingKey", "in", [str(each) for each in segment["included"]]))
        for rule in segment.get("rules") or []:
            if rule.get("weight") is not None:
                raise NoEqual(Issue.SEGMENT, f"The segment {key!r} has a share of users.")
            parts.append(all_of(self._clause(each) for each in rule["clauses"]))
        return any_of(parts)

    def _check_kind(self, given: Mapping[str, Any]) -> None:
        if str(given.get("contextKind") or "") not in USER_KINDS:
            raise NoEqual(Issue.CONTEXT_KIND, f"It asks for the context kind {given['contextKind']!r}.")

    def _attribute(self, name: str) -> str:
        """Return the name of an attribute here. A path with slashes becomes one with dots."""
        if name == "key":
            return "targetingKey"
        return name[1:].replace("/", ".") if name.startswith("/") else name


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
    return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
