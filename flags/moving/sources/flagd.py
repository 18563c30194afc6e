"""flagd: a file of flag definitions (https://flagd.dev/schema/v0/flags.json), with targeting in JSON Logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.errors import InvalidFlagFile
from flags.moving.issues import Issue, NoEqual, Remark
from flags.moving.sources.conditions import (
    ALWAYS,
    NEVER,
    ORDERS,
    Condition,
    Found,
    References,
    all_of,
    any_of,
    asks,
    is_met_by_0,
    limited,
    read_each,
    rules_of,
    typed,
)
from flags.moving.sources.shares import shared_out
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.operators import is_number
from flags.targeting.versions import version_of

PAIR, TEXT = 10, 11
VERSIONS = {"=": "semverEq", "<": "semverLt", "<=": "semverLte", ">": "semverGt", ">=": "semverGte"}
RANGES = frozenset({"^", "~"})
"""The operators that ask for the same major, and for the same major and minor."""
EQUAL = frozenset({"==", "==="})
NEGATED = {"!": "", "!=": "==", "!==": "==="}
NUMBERS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "===": "==="}
TEXTS = {"starts_with": "startsWith", "ends_with": "endsWith"}
SIDES, SIDES_OF_VERSIONS = 2, 3
"""How many values comparisons have."""
NOTES = {
    Issue.NUMBERS: "flagd converts values before it compares them. Always send {} in the type that the flag compares.",
    Issue.ARRAYS: "flagd compares an array as a whole, and Flagsite each of its elements. Send no array as {}.",
}


def read(content: Any, environment: str = "") -> Found:
    """Return the flags of a file for flagd, and what has no equal. It has no environments. Raises InvalidFlagFile."""
    if not isinstance(content, dict) or not isinstance(content.get("flags"), dict):
        raise InvalidFlagFile('The file is not one for flagd, which is an object with the object "flags".')
    evaluators = content.get("$evaluators") or {}
    return read_each(content["flags"].items(), lambda key, flag, notes: _Flag(key, flag, evaluators, notes).content())


class _Flag:
    """One flag on its way into a definition."""

    def __init__(self, key: str, flag: Mapping[str, Any], evaluators: Mapping[str, Any], notes: list[Remark]) -> None:
        self.key, self.flag, self.evaluators, self.notes = key, flag, evaluators, notes
        self.variants: dict[str, Any] = dict(flag["variants"])
        self.is_boolean = all(isinstance(value, bool) for value in self.variants.values())
        self.references = References()
        self.differing: dict[Issue, list[str]] = {issue: [] for issue in NOTES}
        """The attributes of which some values mean something else here, by the code of the note."""

    def content(self) -> dict[str, Any]:
        """Return the flag. Raises NoEqual."""
        default = self._variant(self.flag.get("defaultVariant") or None)
        disabled = self.flag.get("state") == "DISABLED"
        if disabled and self.is_boolean:
            self.notes.append(Remark(self.key, Issue.VALUE, "Off is false here, and the default of the code in flagd."))
        rules: list[dict[str, Any]] = []
        of_all: dict[str, Any] = {}
        last: Any = default
        for condition, result in self._steps(self.flag.get("targeting") or {}):
            serve = self._serve(result, default)
            asked = [clauses for clauses in condition if clauses]
            if [] not in condition:
                rules += rules_of(asked, serve)
                continue
            rules += rules_of(asked, serve)
            if "variant" in serve:
                last = serve["variant"]
            elif not self.is_boolean:  # who has no key gets the default variant
                rules += rules_of(asks(TARGETING_KEY, "exists"), serve)
            else:
                last = "on"
                of_all = {"rolloutPercentage": serve["rollout"]["on"]}
                of_all |= {name: serve[name] for name in ("salt", "hashVersion")}
            break
        flag: dict[str, Any] = {"rules": limited(rules), "killed": disabled, **of_all}
        if self.is_boolean:
            flag["enabled"] = last == "on"
        else:
            flag |= {**typed(list(self.variants.items())), "enabled": last is not None, "defaultVariant": last}
        for issue, names in self.differing.items():
            if names:
                listed = ", ".join(repr(name) for name in dict.fromkeys(names))
                self.notes.append(Remark(self.key, issue, NOTES[issue].format(listed)))
        return flag

    def _variant(self, name: Any) -> str | None:
        """Return the key of a variant here: that of a boolean flag is its value."""
        if name is None:
            if self.is_boolean:
                raise NoEqual(Issue.VALUE, "Without a default variant, the code decides. A boolean flag here cannot.")
            return None
        key = str(name).lower() if isinstance(name, bool) else str(name)
        if key not in self.variants:
            raise NoEqual(Issue.VALUE, f"There is no variant {key!r}.")
        return ("on" if self.variants[key] else "off") if self.is_boolean else key

    def _steps(self, logic: Any) -> list[tuple[Condition, Any]]:
        """Return conditions with what targeting returns where they are the first to be true."""
        logic = self._resolved(logic)
        if not isinstance(logic, dict) or "if" not in logic:
            return [(ALWAYS, logic)] if logic else []
        parts, steps = list(logic["if"]), []
        while len(parts) > 1:
            condition, result, *parts = parts
            found = self._condition(condition)
            inner = self._steps(result) if isinstance(result, dict) and "if" in result else [(ALWAYS, result)]
            if len(inner) > 1 or inner[0][0] != ALWAYS:
                closes = any([] in each for each, _ in inner)
                inner = inner if closes else [*inner, (ALWAYS, None)]
            steps += [(all_of([found, each]), outcome) for each, outcome in inner]
        if parts:
            rest = self._resolved(parts[0])
            steps += self._steps(rest) if isinstance(rest, dict) and "if" in rest else [(ALWAYS, rest)]
        return steps

    def _serve(self, result: Any, default: str | None) -> dict[str, Any]:
        result = self._resolved(result)
        if isinstance(result, dict):
            if set(result) != {"fractional"}:
                raise NoEqual(Issue.OPERATOR, f"Flagsite has nothing like {next(iter(result), '')!r} as a result.")
            return self._shares(list(result["fractional"]))
        key = default if result is None else self._variant(result)
        if key is None:
            raise NoEqual(Issue.VALUE, "Targeting returns no variant, and there is no default variant.")
        return {"variant": key}

    def _shares(self, parts: list[Any]) -> dict[str, Any]:
        """Return the serve of shares. A boolean flag has those of on first, so that they are the lowest buckets."""
        formula = (PAIR, self.key) if isinstance(parts[0], list) else (TEXT, self._salt(parts.pop(0)))
        named = [(self._variant(part[0]), part[1] if len(part) > 1 else 1) for part in parts]
        total = sum(weight for _, weight in named)
        shares = [(str(name), weight * 100 / total) for name, weight in named if weight]
        return shared_out(shares, TARGETING_KEY, formula[1], formula[0], is_boolean=self.is_boolean)

    def _salt(self, by: Any) -> str:
        """Return the text before the targeting key in what a share counts."""
        parts = by.get("cat", []) if isinstance(by, dict) else []
        texts = [self.key if part == {"var": "$flagd.flagKey"} else part for part in parts]
        if not texts or texts[-1] != {"var": TARGETING_KEY} or not all(isinstance(text, str) for text in texts[:-1]):
            raise NoEqual(Issue.UNIT, "Its shares count something else than the targeting key after a text.")
        return "".join(texts[:-1])

    def _condition(self, logic: Any) -> Condition:
        """Return a condition in JSON Logic as alternatives of clauses. Raises NoEqual."""
        logic = self._resolved(logic)
        if isinstance(logic, bool):
            return ALWAYS if logic else NEVER
        op, given = list(logic.items())[0]  # noqa: RUF015 - an empty object is an IndexError, and not the end of a loop
        given = given if isinstance(given, list) else [given]
        _check_joined(op, given)
        if op == "and":
            return all_of(self._condition(each) for each in given)
        if op == "or":
            return any_of(self._condition(each) for each in given)
        if op in NEGATED:
            return self._opposite(_negated(op, given))
        if op == "sem_ver" and given[1] in RANGES:
            return all_of(asks(*limit) for limit in self._limits(given))
        return self._comparison(op, given)

    def _comparison(self, op: str, given: list[Any], *, negate: bool = False) -> Condition:
        """Return one comparison, or its opposite. flagd takes a missing attribute for 0 where it compares numbers."""
        found = _clause(op, given)
        if found is None:
            raise NoEqual(Issue.OPERATOR, f"Flagsite cannot say {op!r} of these values.")
        name, ours, values = found
        self._note(name, is_converted=op == "sem_ver" or _is_converted(op, ours, values))
        return asks(name, ours, values, negate=negate, missing=is_met_by_0(ours, values[0]) is not negate)

    def _note(self, name: str, *, is_converted: bool) -> None:
        """Take down that some values of an attribute mean something else here. The targeting key is always a text."""
        if name != TARGETING_KEY:
            self.differing[Issue.ARRAYS].append(name)
            self.differing[Issue.NUMBERS] += [name] if is_converted else []

    def _limits(self, given: list[Any]) -> list[tuple[str, str, list[Any]]]:
        found = _limits(given)
        self._note(found[0][0], is_converted=True)
        return found

    def _opposite(self, logic: Any) -> Condition:
        """Return the opposite of one comparison, which is mostly true where the attribute is missing."""
        logic = self._resolved(logic)
        op, given = next(iter(logic.items()), ("", [])) if isinstance(logic, dict) else ("", [])
        given = given if isinstance(given, list) else [given]
        _check_joined(op, given)
        if op in ("and", "or"):
            parts = [self._opposite(each) for each in given]
            return any_of(parts) if op == "and" else all_of(parts)
        if op in NEGATED:
            return self._condition(_negated(op, given))
        if op == "sem_ver" and given[1] in RANGES:
            lowest, highest = self._limits(given)
            return any_of([asks(*lowest, negate=True, missing=True), asks(*highest, negate=True)])
        return self._comparison(op, given, negate=True)

    def _resolved(self, logic: Any) -> Any:
        """Return the evaluator that a reference names, or the logic as it is."""
        if not isinstance(logic, dict) or set(logic) != {"$ref"}:
            return logic
        self.references.follow()
        return self.evaluators[logic["$ref"]]


def _negated(op: str, given: list[Any]) -> Any:
    """Return the logic of which a negation is the opposite."""
    return {NEGATED[op]: given} if NEGATED[op] else given[0]


def _clause(op: str, given: list[Any]) -> tuple[str, str, list[Any]] | None:
    """Return attribute, operator and values of a comparison of one attribute with constants; None for others."""
    if len(given) != (SIDES_OF_VERSIONS if op == "sem_ver" else SIDES):
        return None
    if op in TURNED and _attribute(given[1]) and not _attribute(given[0]):
        op, given = TURNED[op], [given[1], given[0]]
    name = _attribute(given[0])
    if op == "in" and not name:
        inside = _attribute(given[1])
        return (inside, "contains", [given[0]]) if inside and isinstance(given[0], str) else None
    if op == "in":
        return (name, "in", given[1]) if isinstance(given[1], list) and given[1] else None
    ours = _operator(op, given, is_key=name == TARGETING_KEY)
    return (name, ours, [given[-1]]) if name and ours else None


def _operator(op: str, given: list[Any], *, is_key: bool) -> str | None:
    """Return the operator that compares with the last value. The targeting key is a text, also beside a number."""
    compared = given[-1]
    is_text = isinstance(compared, str)
    if op == "sem_ver":
        return VERSIONS.get(given[1]) if is_text else None
    if op in EQUAL:
        return "in" if is_text or (isinstance(compared, int | float) and not is_key) else None
    if op in NUMBERS:
        return NUMBERS[op] if is_number(compared) and not is_key else None
    return TEXTS.get(op) if is_text else None


def _is_converted(op: str, ours: str, values: list[Any]) -> bool:
    """Return whether an attribute of another type than the values can match them in flagd."""
    if ours in ORDERS or not all(isinstance(value, str) for value in values):
        return True
    return op == "==" and (not values[0].strip() or _is_number_in_text(values[0]))


def _is_number_in_text(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _limits(given: list[Any]) -> list[tuple[str, str, list[Any]]]:
    """Return the two comparisons that say that a version is in a range. Raises NoEqual.

    The lowest version of a range is the lowest pre-release of its first release.
    """
    name, version = _attribute(given[0]), version_of(given[2])
    if not name or version is None:
        raise NoEqual(Issue.OPERATOR, "Flagsite cannot say 'sem_ver' of these values.")
    major, minor = version[0], version[1]
    lowest, end = (f"{major}.0", f"{major + 1}.0") if given[1] == "^" else (f"{major}.{minor}", f"{major}.{minor + 1}")
    return [(name, "semverGte", [f"{lowest}.0-0"]), (name, "semverLt", [f"{end}.0-0"])]


def _check_joined(op: str, given: list[Any]) -> None:
    """Check that a list of conditions is not empty. JSON Logic makes null of an empty one, which is not true."""
    if op in ("and", "or") and not given:
        raise NoEqual(Issue.OPERATOR, f"{op!r} joins no conditions.")


def _attribute(logic: Any) -> str:
    """Return the name of the attribute that JSON Logic reads; empty for anything else."""
    if not isinstance(logic, dict) or set(logic) != {"var"}:
        return ""
    name = logic["var"][0] if isinstance(logic["var"], list) and len(logic["var"]) == 1 else logic["var"]
    return name if isinstance(name, str) and not name.startswith("$flagd") else ""
