"""Unleash: the export of an environment, and the answer of its client API (/api/client/features).

A feature is on for whom one of its strategies says so. A targeting rule with a rollout decides for all whom it matches.
So the rules stand by their percentage, the highest first: the users of a lower one are among those of a higher one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from flags.errors import InvalidFlagFile
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    References,
    all_of,
    any_of,
    asks,
    limited,
    read_each,
    rules_of,
)

UNLEASH_HASH = 2
ALL = 100
"""Per cent."""
KINDS = {
    "experiment": "experiment",
    "operational": "operational",
    "kill-switch": "operational",
    "permission": "permission",
}
LISTS = {
    "IN": "in",
    "STR_CONTAINS": "contains",
    "STR_STARTS_WITH": "startsWith",
    "STR_ENDS_WITH": "endsWith",
    "IN_CIDR": "inCidr",
}
"""The operators that compare with several values."""
SINGLE = {
    "DATE_AFTER": "after",
    "DATE_BEFORE": "before",
    "SEMVER_EQ": "semverEq",
    "SEMVER_GT": "semverGt",
    "SEMVER_GTE": "semverGte",
    "SEMVER_LT": "semverLt",
    "SEMVER_LTE": "semverLte",
    "REGEX": "matches",
}
"""The operators that compare with one text."""
NUMBERS = {"NUM_GT": "gt", "NUM_GTE": "gte", "NUM_LT": "lt", "NUM_LTE": "lte", "NUM_EQ": "in"}
IGNORING = frozenset({"in", "contains", "startsWith", "endsWith", "matches"})
"""The operators for which the case of texts may not count."""
BY_USER = frozenset({"default", "userId"})


def read(content: Any, environment: str = "") -> tuple[list[dict[str, Any]], list[Remark]]:
    """Return the flags of a file of Unleash, and what has no equal.

    Args:
        content: the JSON of the file.
        environment: the environment, if the file has several.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("features"), list):
        raise InvalidFlagFile('The file is not an export of Unleash, which is an object with the list "features".')
    listed = [each for each in content.get("segments") or [] if isinstance(each, dict)]
    segments = {each["id"]: each for each in listed if isinstance(each.get("id"), int | str)}
    features = _with_strategies(content, environment)
    return read_each(features, lambda _, feature, notes: _Feature(feature, segments, notes).content())


def _with_strategies(content: Mapping[str, Any], environment: str) -> list[tuple[str, Any]]:
    """Return the features as the client API has them, each with its strategies, tags and dependencies."""
    features = [each for each in content["features"] if isinstance(each, dict) and not each.get("archived")]
    if "featureStrategies" not in content:
        return [(str(each.get("name")), each) for each in features]
    states = [each for each in content.get("featureEnvironments") or [] if isinstance(each, dict)]
    known = sorted({str(each["environment"]) for each in states if each.get("environment")})
    if not environment and len(known) > 1:
        raise InvalidFlagFile(f"The file has the environments {', '.join(known)}. Choose one with option environment.")
    if environment and environment not in known:
        raise InvalidFlagFile(f"The file has no environment {environment!r}. It has: {', '.join(known) or 'none'}.")
    chosen = {each["featureName"]: each for each in states if not environment or each.get("environment") == environment}
    of_feature: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for each in content["featureStrategies"]:
        if not environment or each.get("environment", environment) == environment:
            of_feature[each["featureName"]]["strategies"].append(each)
    for each in content.get("featureTags") or []:
        of_feature[each["featureName"]]["tags"].append(f"{each.get('tagType', 'simple')}:{each['tagValue']}")
    for each in content.get("dependencies") or []:
        of_feature[each["feature"]]["dependencies"] += each.get("dependencies", [])
    found = []
    for each in features:
        state = chosen.get(each["name"], {})
        both = {"enabled": bool(state.get("enabled")), "variants": state.get("variants") or each.get("variants")}
        found.append((str(each["name"]), {**each, **both, **of_feature[each["name"]]}))
    return found


class _Feature:
    """One feature on its way into a definition."""

    def __init__(self, feature: Mapping[str, Any], segments: Mapping[Any, Any], notes: list[Remark]) -> None:
        self.feature, self.segments, self.notes = feature, segments, notes
        self.salts: set[str] = set()
        self.references = References()

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        feature = self.feature
        if feature.get("variants"):
            raise NoEqual(Issue.WEIGHTS, "The feature has variants beside on and off.")
        shares = [self._share(each) for each in feature.get("strategies") or [] if not each.get("disabled")]
        flag = {
            "description": str(feature.get("description") or ""),
            "kind": KINDS.get(str(feature.get("type")), "release"),
            "tags": list(feature.get("tags") or []),
            "prerequisites": [self._prerequisite(each) for each in feature.get("dependencies") or []],
            "killed": not feature.get("enabled"),
            **_ruled(shares, has_strategies=bool(feature.get("strategies"))),
        }
        if len(self.salts) > 1:
            raise NoEqual(Issue.BUCKETS, f"Strategies have several groups: {', '.join(sorted(self.salts))}.")
        return flag | ({"salt": self.salts.pop(), "hashVersion": UNLEASH_HASH} if self.salts else {})

    def _prerequisite(self, dependency: Mapping[str, Any]) -> str:
        if dependency.get("enabled") is False or dependency.get("variants"):
            raise NoEqual(Issue.PREREQUISITE, "A dependency asks for off, or for a variant.")
        return str(dependency["feature"])

    def _share(self, strategy: Mapping[str, Any]) -> tuple[float, str, Condition, str]:
        """Return the percentage of a strategy, what it counts, its condition and its title."""
        if strategy.get("variants"):
            raise NoEqual(Issue.WEIGHTS, "A strategy has variants beside on and off.")
        parts = [self._constraint(each) for each in strategy.get("constraints") or []]
        for number in strategy.get("segments") or []:
            self.references.follow()
            segment = self.segments.get(number)
            if segment is None or "constraints" not in segment:
                raise NoEqual(Issue.SEGMENT, f"The file does not say who is in the segment {number}.")
            parts.append(all_of(self._constraint(each) for each in segment["constraints"]))
        percentage, by, own = self._activation(str(strategy["name"]), strategy.get("parameters") or {})
        return percentage, by, all_of([*parts, own]), str(strategy.get("title") or "")

    def _activation(self, name: str, given: Mapping[str, Any]) -> tuple[float, str, Condition]:
        if name == "default":
            return 100, "targetingKey", ALWAYS
        if name == "userWithId":
            users = [each.strip() for each in str(given.get("userIds", "")).split(",") if each.strip()]
            return 100, "targetingKey", asks("targetingKey", "in", users) if users else NEVER
        if name == "remoteAddress":
            addresses = [each.strip() for each in str(given.get("IPs", "")).split(",") if each.strip()]
            return 100, "targetingKey", asks("remoteAddress", "inCidr", addresses) if addresses else NEVER
        if name in ("gradualRolloutUserId", "gradualRolloutSessionId"):
            by = "userId" if name.endswith("UserId") else "sessionId"
            return self._rollout(given.get("percentage", 0), by, given.get("groupId"))
        if name == "flexibleRollout":
            return self._rollout(given.get("rollout", 100), given.get("stickiness") or "default", given.get("groupId"))
        raise NoEqual(Issue.STRATEGY, f"Flagsite has nothing like the strategy {name!r}.")

    def _rollout(self, percentage: Any, stickiness: str, group: Any) -> tuple[float, str, Condition]:
        share = float(percentage)
        if share <= 0:
            return 0, "targetingKey", NEVER
        if stickiness == "random" and share < ALL:
            raise NoEqual(Issue.UNIT, "A rollout counts by chance, and not by user.")
        if share >= ALL:
            return ALL, "targetingKey", self._has(stickiness)
        self.salts.add(str(group or self.feature["name"]))
        if stickiness == "default":
            detail = "Where there is no user, a rollout counts the session in Unleash. Flagsite counts users only."
            self.notes.append(Remark(str(self.feature["name"]), Issue.STICKINESS, detail))
        by = "targetingKey" if stickiness in BY_USER else stickiness
        return share, by, self._has(stickiness)

    def _has(self, stickiness: str) -> Condition:
        """Return the condition that there is what a rollout counts."""
        if stickiness in ("default", "random"):
            return ALWAYS
        return asks("targetingKey" if stickiness == "userId" else stickiness, "exists")

    def _constraint(self, given: Mapping[str, Any]) -> Condition:
        """Return a constraint. Of a missing attribute, the opposite of what it says is true."""
        op, inverted = str(given["operator"]), bool(given.get("inverted"))
        values = [str(each) for each in given.get("values") or []]
        value = str(given.get("value", ""))
        name = str(given["contextName"])
        attribute = "targetingKey" if name == "userId" else name
        if name == "currentTime":
            raise NoEqual(Issue.TIME, "A constraint asks for the time of the evaluation. Schedule a change instead.")
        if op in ("IN", "NOT_IN"):
            op, inverted = "IN", inverted is (op == "IN")
        if op in LISTS and not values:
            return ALWAYS if inverted else NEVER
        if op in NUMBERS:
            detail = f"Unleash reads numbers in texts. Send {name} as a number."
            self.notes.append(Remark(str(self.feature["name"]), Issue.NUMBERS, detail))
        elif op not in LISTS and op not in SINGLE:
            raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r}.")
        compared = values if op in LISTS else [_number(value) if op in NUMBERS else value]
        ours = (LISTS | SINGLE | NUMBERS)[op]
        ignores = ours in IGNORING and bool(given.get("caseInsensitive"))
        return asks(attribute, ours, compared, negate=inverted, ignore_case=ignores, missing=inverted)


def _number(text: str) -> Any:
    number = float(text)
    return int(number) if number.is_integer() else number


def _ruled(shares: Sequence[tuple[float, str, Condition, str]], *, has_strategies: bool) -> dict[str, Any]:
    """Return the default, the rollout and the rules of strategies, of which one has to say on."""
    if not has_strategies:
        return {"enabled": True, "rolloutPercentage": None, "rules": []}
    if len({by for percentage, by, _, _ in shares if percentage < ALL}) > 1:
        raise NoEqual(Issue.UNIT, "Strategies count different things.")
    of_all = max((percentage for percentage, _, condition, _ in shares if [] in condition), default=0.0)
    rules: list[dict[str, Any]] = []
    for percentage, by, condition, title in sorted(shares, key=lambda share: -share[0]):
        asked = [clauses for clauses in condition if clauses]
        if percentage > of_all and asked:
            rules += rules_of(any_of([asked]), _serve(percentage, by), title)
    share = None if of_all in (0, 100) else of_all
    return {"enabled": of_all > 0, "rolloutPercentage": share, "rules": limited(rules)}


def _serve(percentage: float, by: str) -> dict[str, Any]:
    if percentage >= ALL:
        return {"variant": "on"}
    return {"rollout": {"on": percentage, "off": 100 - percentage}, "by": by}
