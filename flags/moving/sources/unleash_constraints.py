"""The constraints of Unleash's strategies and segments, as conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flags.moving.issues import Issue, NoEqual
from flags.moving.sources.conditions import ALWAYS, NEVER, Condition, all_of, asks
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.operators import ranges_of
from flags.values.patterns import WrongPattern, compiled

Note = Callable[[Issue, str], None]
"""Takes down what differs though a constraint is imported."""
LISTS = {
    "IN": "in",
    "STR_CONTAINS": "contains",
    "STR_STARTS_WITH": "startsWith",
    "STR_ENDS_WITH": "endsWith",
    "IN_CIDR": "inCidr",
}
"""The operators that compare with several values."""
VERSIONS = {
    "SEMVER_EQ": "semverEq",
    "SEMVER_GT": "semverGt",
    "SEMVER_GTE": "semverGte",
    "SEMVER_LT": "semverLt",
    "SEMVER_LTE": "semverLte",
}
SINGLE = {"REGEX": "matches", **VERSIONS}
"""The operators that compare with one text."""
NUMBERS = {"NUM_GT": "gt", "NUM_GTE": "gte", "NUM_LT": "lt", "NUM_LTE": "lte", "NUM_EQ": "in"}
IGNORING = frozenset({"in", "contains", "startsWith", "endsWith", "matches"})
"""The operators for which the case of texts may not count."""
WHOLE_VERSION = re.compile(r"\d+\.\d+\.\d+([-+].*)?")
WRONG = re.compile(r"missing [)\]]|unexpected \)|invalid perl operator: \(\?[=!<]|invalid escape sequence: \\[1-9]")
"""What is wrong with a pattern that no SDK of Unleash takes. Others take more memory, or have other escapes."""
USER = "userId"


def attribute_of(name: str) -> str:
    """Return the name of a context field here."""
    return TARGETING_KEY if name == USER else name


def constrained(constraints: Iterable[Mapping[str, Any]], note: Note) -> Condition:
    """Return the condition that all constraints are true. Raises NoEqual."""
    return all_of(_constraint(each, note) for each in constraints)


def _constraint(given: Mapping[str, Any], note: Note) -> Condition:
    """Return a constraint. Of a missing attribute, the opposite of what it says is true."""
    op, inverted = str(given["operator"]), bool(given.get("inverted"))
    values = [str(each).strip() for each in given.get("values") or [] if each]
    value = str(given.get("value", ""))
    name = str(given["contextName"])
    if name == "currentTime" or op.startswith("DATE_"):  # the SDKs compare the time, whatever the name is
        raise NoEqual(Issue.TIME, "A constraint asks for the time of the evaluation. Schedule a change instead.")
    if op in ("IN", "NOT_IN"):
        op, inverted = "IN", inverted is (op == "IN")
    if op == "IN_CIDR":
        values = networks(values)
    if op in LISTS and not values:
        return ALWAYS if inverted else NEVER
    if op == "REGEX" and not inverted and _is_wrong(value):
        return NEVER
    if op in NUMBERS:
        note(Issue.NUMBERS, f"Unleash reads numbers in texts. Send {name} as a number.")
    elif op in VERSIONS:
        if WHOLE_VERSION.fullmatch(value) is None:
            raise NoEqual(Issue.VERSION_FORM, f"The version {value!r} is none for Unleash, and Flagsite takes it.")
        note(Issue.VERSION_FORM, f"Unleash takes no version such as v2.0.0 or 2.0 as {name}. Flagsite does.")
    elif op not in LISTS and op not in SINGLE:
        raise NoEqual(Issue.OPERATOR, f"Flagsite has no operator such as {op!r}.")
    compared = values if op in LISTS else [_number(value) if op in NUMBERS else value]
    ours = (LISTS | SINGLE | NUMBERS)[op]
    ignores = ours in IGNORING and bool(given.get("caseInsensitive"))
    return asks(attribute_of(name), ours, compared, negate=inverted, ignore_case=ignores, missing=inverted)


def networks(values: Iterable[str]) -> list[str]:
    """Return the values that are addresses or networks. Unleash ignores others."""
    return [value for value in values if ranges_of(value)]


def _is_wrong(pattern: str) -> bool:
    """Return whether no text matches in Unleash, because a pattern is no regular expression there either."""
    try:
        compiled(pattern)
    except WrongPattern as reason:
        return WRONG.match(str(reason)) is not None
    return False


def _number(text: str) -> Any:
    number = float(text)
    return int(number) if number.is_integer() else number
