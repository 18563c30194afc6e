"""What targeting rules compared, for people who ask why a rule matches or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flags.targeting.attributes import Attributes
from flags.targeting.rules import IN_SUBTREE, LEVEL, Clause, Keys, TargetingRule

LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ClauseTrace:
    """One clause, the value that it looked at (None if there was none), and whether it matches."""

    attribute: str
    op: str
    values: list[Any]
    negate: bool
    compared: Any
    matches: bool
    why: str


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One targeting rule with all its clauses, and whether it matches and its rollout has a unit."""

    id: str
    matches: bool
    clauses: list[ClauseTrace]


def traces_of(
    rules: Sequence[TargetingRule], attributes: Attributes, targeting_key: str, keys: Keys
) -> list[RuleTrace]:
    """Return the traces of rules, in their order, up to the first that decides. The arguments are those of a clause."""
    traces: list[RuleTrace] = []
    for rule in rules:
        clauses = [_trace(clause, attributes, targeting_key, keys) for clause in rule.clauses]
        has_unit = rule.rollout is None or bool(rule.rollout.unit(attributes, targeting_key, keys))
        matches = has_unit and all(clause.matches for clause in clauses)
        traces.append(RuleTrace(rule.id, matches, clauses))
        if matches:
            break
    return traces


def _trace(clause: Clause, attributes: Attributes, targeting_key: str, keys: Keys) -> ClauseTrace:
    compared = clause.compared(attributes, targeting_key, keys)
    matches = clause.test(attributes, targeting_key, keys)
    why = clause.why_never or _words(clause, compared, matches=matches)
    return ClauseTrace(clause.attribute, clause.op, list(clause.values), clause.negate, _shown(compared), matches, why)


def _words(clause: Clause, compared: Any, *, matches: bool) -> str:
    what = {IN_SUBTREE: "the path of the organization", LEVEL: "the level of the organization"}.get(
        clause.op, f"the attribute {clause.attribute!r}"
    )
    outcome = "matches" if matches else "does not match"
    if clause.op == "exists":
        return f"{what.capitalize()} is {'there' if compared is not None else 'missing'}: the clause {outcome}."
    if compared is None:
        return f"{what.capitalize()} is missing, so the clause does not match."
    comparison = f"not {clause.op}" if clause.negate else clause.op
    return f"{what.capitalize()} is {_text(compared)}: {comparison} {_text(list(clause.values))} {outcome}."


def _shown(value: Any) -> Any:
    """Return a value as it can be sent: a long one as a shortened text."""
    text = _text(value)
    return value if len(text) < LONGEST_SHOWN else text


def _text(value: Any) -> str:
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:  # half of a character
        text = ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
