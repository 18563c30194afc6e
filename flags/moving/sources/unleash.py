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
    Found,
    all_of,
    any_of,
    asks,
    limited,
    read_each,
    rules_of,
)
from flags.moving.sources.segments import Segments, key_of, segment_rules
from flags.moving.sources.shares import unit
from flags.moving.sources.unleash_constraints import Note, constrained, networks
from flags.moving.sources.unleash_variants import ALL, DEFAULT, UNLEASH_HASH, Strategy, VariantsOf
from flags.targeting.attributes import TARGETING_KEY

KINDS = {
    "experiment": "experiment",
    "operational": "operational",
    "kill-switch": "operational",
    "permission": "permission",
}
NO_VARIANT = "disabled"
"""The name of the variant of a feature that has none."""
BY_USER = frozenset({"default", "userId"})


def read(content: Any, environment: str = "") -> Found:
    """Return the flags of a file of Unleash, and what has no equal.

    Args:
        content: the JSON of the file.
        environment: the environment, if the file has several.

    Raises InvalidFlagFile.
    """
    if not isinstance(content, dict) or not isinstance(content.get("features"), list):
        raise InvalidFlagFile('The file is not an export of Unleash, which is an object with the list "features".')
    listed = [each for each in content.get("segments") or [] if isinstance(each, dict)]
    segments = _Segments({each["id"]: each for each in listed if isinstance(each.get("id"), int | str)})
    features = _with_strategies(content, environment)
    known = dict(features)
    found = read_each(features, lambda _, feature, notes: _Feature(feature, segments, known, notes).content())
    return found._replace(segments=segments.segments.contents)


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


class _Segments:
    """The segments of a file, with what differs in each of them."""

    def __init__(self, listed: Mapping[Any, Any]) -> None:
        self.segments = Segments(listed, self._read)
        self._notes: dict[Any, list[tuple[Issue, str]]] = defaultdict(list)

    def asked(self, number: Any, note: Note) -> Condition:
        """Return the condition that somebody is in a segment. Raises NoEqual."""
        found = self.segments.asked([number])
        for issue, detail in self._notes[number]:
            note(issue, detail)
        return found

    def _read(self, listed: Mapping[str, Any], _: Segments) -> dict[str, Any]:
        number, notes = listed["id"], self._notes[listed["id"]]
        if "constraints" not in listed:
            raise NoEqual(Issue.SEGMENT, f"The file does not say who is in the segment {number}.")
        condition = constrained(listed["constraints"], lambda issue, detail: notes.append((issue, detail)))
        name = str(listed.get("name") or "")
        described = str(listed.get("description") or name)
        return {"key": key_of(name, number), "description": described, "rules": segment_rules(condition)}


class _Feature:
    """One feature on its way into a definition."""

    def __init__(
        self, feature: Mapping[str, Any], segments: _Segments, known: Mapping[str, Any], notes: list[Remark]
    ) -> None:
        """`known` has all features of the file."""
        self.feature, self.segments, self.known, self.notes = feature, segments, known, notes

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        feature = self.feature
        strategies = [self._strategy(each) for each in feature.get("strategies") or [] if not each.get("disabled")]
        if not feature.get("strategies"):
            strategies = [Strategy(ALL, TARGETING_KEY, str(feature["name"]), ALWAYS, "", DEFAULT, ())]
        own = feature.get("variants") or []
        if own or any(each.variants for each in strategies):
            values = VariantsOf(str(feature["name"]), own, strategies, self._note).content()
        else:
            values = _ruled(strategies)
        return {
            "description": str(feature.get("description") or ""),
            "kind": KINDS.get(str(feature.get("type")), "release"),
            "tags": list(feature.get("tags") or []),
            "prerequisites": [self._prerequisite(each) for each in feature.get("dependencies") or []],
            "killed": not feature.get("enabled"),
            **values,
        }

    def _note(self, issue: Issue, detail: str) -> None:
        remark = Remark(str(self.feature["name"]), issue, detail)
        if remark not in self.notes:
            self.notes.append(remark)

    def _prerequisite(self, dependency: Mapping[str, Any]) -> Any:
        """Return a dependency. A parent that depends on others itself satisfies none in Unleash."""
        key, variants = str(dependency["feature"]), dependency.get("variants") or []
        if (self.known.get(key) or {}).get("dependencies"):
            raise NoEqual(Issue.PREREQUISITE, f"It depends on {key!r}, which depends on another feature.")
        if dependency.get("enabled") is False:
            return {"flag": key, "is": "off"}
        needed = self.known.get(key) or {}
        strategies = needed.get("strategies") or []
        if NO_VARIANT in variants and not any(each.get("variants") for each in (needed, *strategies)):
            return key
        if len(variants) > 1 or NO_VARIANT in variants:
            raise NoEqual(Issue.PREREQUISITE, f"It takes several variants of {key!r}.")
        return {"flag": key, "variant": str(variants[0])} if variants else key

    def _strategy(self, strategy: Mapping[str, Any]) -> Strategy:
        parts = [constrained(strategy.get("constraints") or [], self._note)]
        parts += [self.segments.asked(number, self._note) for number in strategy.get("segments") or []]
        given = strategy.get("parameters") or {}
        percentage, by, own = self._activation(str(strategy["name"]), given)
        salt = str(given.get("groupId") or self.feature["name"])
        title, stickiness = str(strategy.get("title") or ""), str(given.get("stickiness") or DEFAULT)
        condition, variants = all_of([*parts, own]), strategy.get("variants") or []
        return Strategy(percentage, by, salt, condition, title, stickiness, variants)

    def _activation(self, name: str, given: Mapping[str, Any]) -> tuple[float, str, Condition]:
        if name == "default":
            return 100, TARGETING_KEY, ALWAYS
        if name == "userWithId":
            users = [each.strip() for each in str(given.get("userIds", "")).split(",") if each.strip()]
            return 100, TARGETING_KEY, asks(TARGETING_KEY, "in", users) if users else NEVER
        if name == "remoteAddress":
            addresses = networks(each.strip() for each in str(given.get("IPs", "")).split(","))
            return 100, TARGETING_KEY, asks("remoteAddress", "inCidr", addresses) if addresses else NEVER
        if name in ("gradualRolloutUserId", "gradualRolloutSessionId"):
            by = "userId" if name.endswith("UserId") else "sessionId"
            return self._rollout(given.get("percentage", 0), by)
        if name == "flexibleRollout":
            return self._rollout(given.get("rollout", 100), given.get("stickiness") or "default")
        raise NoEqual(Issue.STRATEGY, f"Flagsite has nothing like the strategy {name!r}.")

    def _rollout(self, percentage: Any, stickiness: str) -> tuple[float, str, Condition]:
        share = float(percentage)
        if share <= 0:
            return 0, TARGETING_KEY, NEVER
        if stickiness == "random" and share < ALL:
            raise NoEqual(Issue.UNIT, "A rollout counts by chance, and not by user.")
        if share >= ALL:
            return ALL, TARGETING_KEY, self._has(stickiness)
        if stickiness == "default":
            detail = "Where there is no user, a rollout counts the session in Unleash. Flagsite counts users only."
            self._note(Issue.STICKINESS, detail)
        by = TARGETING_KEY if stickiness in BY_USER else unit(stickiness)
        return share, by, self._has(stickiness)

    def _has(self, stickiness: str) -> Condition:
        """Return the condition that there is what a rollout counts."""
        if stickiness in ("default", "random"):
            return ALWAYS
        return asks(TARGETING_KEY if stickiness == "userId" else stickiness, "exists")


def _ruled(strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Return the default, the rollout and the rules of strategies without variants, of which one has to say on."""
    gradual = [each for each in strategies if each.percentage < ALL and each.condition]
    if len({each.by for each in gradual}) > 1:
        raise NoEqual(Issue.UNIT, "Strategies count different things.")
    salts = {each.salt for each in gradual}
    if len(salts) > 1:
        raise NoEqual(Issue.BUCKETS, f"Strategies have several groups: {', '.join(sorted(salts))}.")
    of_all = max((each.percentage for each in strategies if [] in each.condition), default=0.0)
    rules: list[dict[str, Any]] = []
    for each in sorted(strategies, key=lambda strategy: -strategy.percentage):
        asked = [clauses for clauses in each.condition if clauses]
        if each.percentage > of_all and asked:
            rules += rules_of(any_of([asked]), _serve(each.percentage, each.by), each.title)
    share = None if of_all in (0, ALL) else of_all
    made = {"enabled": of_all > 0, "rolloutPercentage": share, "rules": limited(rules)}
    return made | {"salt": salt, "hashVersion": UNLEASH_HASH} if (salt := next(iter(salts), "")) else made


def _serve(percentage: float, by: str) -> dict[str, Any]:
    if percentage >= ALL:
        return {"variant": "on"}
    return {"rollout": {"on": percentage, "off": 100 - percentage}, "by": by}
