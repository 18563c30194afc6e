"""Conditions of other products, as alternatives of clauses.

A targeting rule joins its clauses with "and". So "or" becomes several rules, and so does an operator that matches where
its attribute is missing: no clause of Flagsite does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import product
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from flags.moving.issues import Issue, NoEqual, Remark
from flags.targeting.attributes import OF_ORGANIZATION
from flags.targeting.checks import MAX_CLAUSES, MAX_RULES

Clause = dict[str, Any]
Condition = list[list[Clause]]
"""Alternatives, of which one has to match: each has clauses that all have to match."""
ALWAYS: Condition = [[]]
NEVER: Condition = []
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
"""The operators that compare numbers."""
MOST_REFERENCES = 500
"""How often a flag may name a part of the file that several flags share, also by way of other such parts."""


class References:
    """Counts how often a flag names shared parts of its file, which may name each other: even in a circle."""

    def __init__(self) -> None:
        self._count = 0

    def follow(self) -> None:
        """Count one. Raises NoEqual if there are too many."""
        self._count += 1
        if self._count > MOST_REFERENCES:
            raise NoEqual(Issue.TOO_LONG, f"It names parts that flags share more than {MOST_REFERENCES} times.")


DECIDED: Mapping[str, Any] = {
    "archived": False, "killed": False, "prerequisites": [], "rules": [],
    "rolloutPercentage": None, "rolloutUnit": "targetingKey", "rolloutLevel": None,
    "type": "boolean", "variants": [], "defaultVariant": None, "defaultRollout": None, "offVariant": None,
}  # fmt: skip
"""What an import decides of each flag, as it is where the product says nothing: so nothing of an older flag stays.

`salt` and `hashVersion` stay where nothing counts by them, and so does what only Flagsite has.
"""
WRONG_FORM = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What reading raises where a file has another form than the product writes."""


def asks(
    attribute: str, op: str, values: Sequence[Any] = (), *, negate: bool = False, ignore_case: bool = False,
    missing: bool = False,
) -> Condition:  # fmt: skip
    """Return the condition of one clause. With `missing`, it is also true where the attribute is missing.

    Raises NoEqual for a name that is that of an attribute of organizations here.
    """
    if attribute.startswith(OF_ORGANIZATION):
        raise NoEqual(Issue.ATTRIBUTE_NAME, f"The attribute {attribute!r} would be one of the organization here.")
    listed = {"values": list(values)} if values else {}
    marks = {name: True for name, is_on in (("negate", negate), ("ignoreCase", ignore_case)) if is_on}
    clause = {"attribute": attribute, "op": op, **listed, **marks}
    return [*([[absent(attribute)]] if missing else []), [clause]]


def present(attribute: str) -> Clause:
    """Return the clause that an attribute is there."""
    return {"attribute": attribute, "op": "exists"}


def absent(attribute: str) -> Clause:
    """Return the clause that an attribute is missing."""
    return {"attribute": attribute, "op": "exists", "negate": True}


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that all conditions are true. Raises NoEqual if it needs too many rules or clauses."""
    found = ALWAYS
    for condition in conditions:
        if len(found) * len(condition) > MAX_RULES:
            raise NoEqual(Issue.TOO_LONG, f"The condition needs more than {MAX_RULES} targeting rules.")
        found = [left + [each for each in right if each not in left] for left, right in product(found, condition)]
        if any(len(clauses) > MAX_CLAUSES for clauses in found):
            raise NoEqual(Issue.TOO_LONG, f"The condition needs a rule with more than {MAX_CLAUSES} clauses.")
    return found


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that one of the conditions is true. Raises NoEqual if it needs too many rules."""
    found: Condition = []
    for condition in conditions:
        found += condition
        if len(found) > MAX_RULES:
            raise NoEqual(Issue.TOO_LONG, f"The condition needs more than {MAX_RULES} targeting rules.")
    return found


def opposite(condition: Condition) -> Condition:
    """Return the condition that is true where another one is not. Raises NoEqual if it needs too many rules."""
    found = all_of(any_of(_opposite(clause) for clause in clauses) for clauses in condition)
    return [clauses for clauses in found if not any(_flipped(clause) in clauses for clause in clauses)]


def _opposite(clause: Clause) -> Condition:
    """Return where a clause does not match: where it is negated, or its attribute is missing."""
    flipped = [[_flipped(clause)]]
    return flipped if clause["op"] == "exists" else [[absent(clause["attribute"])], *flipped]


def _flipped(clause: Clause) -> Clause:
    kept = {name: value for name, value in clause.items() if name != "negate"}
    return kept if clause.get("negate") else {**kept, "negate": True}


def is_met_by_0(op: str, value: Any) -> bool:
    """Return whether 0 fits an operator and its value: some products take a missing attribute for 0."""
    return op in ORDERS and ORDERS[op](0, value)


def rules_of(condition: Condition, serve: Mapping[str, Any], name: str = "") -> list[dict[str, Any]]:
    """Return the targeting rules with a condition, one for each alternative. A rule needs a clause."""
    described = {"description": name[:200]} if name else {}
    return [{**described, "clauses": clauses, "serve": dict(serve)} for clauses in condition]


def limited(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules of a flag with ids. Raises NoEqual if there are too many."""
    if len(rules) > MAX_RULES:
        raise NoEqual(Issue.TOO_LONG, f"The flag needs {len(rules)} targeting rules, more than {MAX_RULES}.")
    return [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules, 1)]


class Found(NamedTuple):
    """What a file has: its flags as a flag file has them, what has no equal, and the segments that flags ask for."""

    flags: list[dict[str, Any]]
    remarks: list[Remark]
    segments: Sequence[dict[str, Any]] = ()


def read_each(flags: Iterable[tuple[str, Any]], read_one: Callable[[str, Any, list[Remark]], dict[str, Any]]) -> Found:
    """Read each flag of a file. One that Flagsite cannot say exactly is left out, and a remark names it."""
    found, remarks = [], []
    for key, content in flags:
        notes: list[Remark] = []
        try:
            flag = {"name": key, **deepcopy(dict(DECIDED)), **read_one(key, content, notes)}
        except NoEqual as reason:
            remarks.append(Remark(key, reason.issue, reason.detail, is_imported=False))
        except WRONG_FORM:
            remarks.append(
                Remark(key, Issue.FORM, "The flag has another form than the product writes.", is_imported=False)
            )
        else:
            found.append(flag)
            remarks += notes
    return Found(found, remarks)


def typed(named: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the definition fields `type` and `variants` for values with their keys. Raises NoEqual for mixed types."""
    values = [value for _, value in named]
    if all(isinstance(value, str) for value in values):
        kind = "string"
    elif all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        kind = "integer"
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        kind = "float"
        named = [(key, float(value)) for key, value in named]
    elif all(isinstance(value, dict | list) for value in values):
        kind = "object"
    else:
        raise NoEqual(Issue.VALUE, "The values of the flag have several types.")
    return {"type": kind, "variants": [{"key": key, "value": value} for key, value in named]}
