"""What clauses compared in plain words, for people who try rules out."""

from __future__ import annotations

import json
from typing import Any

from flags.targeting.rules import IN_SEGMENT, IN_SUBTREE, LEVEL
from flags.targeting.traces import ClauseTrace, RuleTrace
from flags.targeting.words import clause_in_words

PLACES = {IN_SUBTREE: "the path of the organization", LEVEL: "the level of the organization"}


def decided_in_words(rule: RuleTrace) -> list[str]:
    """Return the clauses by which a rule matches, or else the first one by which it does not, each as a sentence."""
    if rule.matches:
        return [outcome_in_words(clause) for clause in rule.clauses]
    failing = [clause for clause in rule.clauses if not clause.matches][:1]
    return [outcome_in_words(clause) for clause in failing] or ["Nothing is there to be counted for its share."]


def outcome_in_words(clause: ClauseTrace) -> str:
    """Return the sentence about a clause, such as 'plan is "pro": no, it is "free".'"""
    asked: dict[str, Any] = {"op": clause.op, "attribute": clause.attribute, "values": clause.values}
    outcome = "yes" if clause.matches else "no"
    return f"{clause_in_words(asked | {'negate': clause.negate})}: {outcome}{_found(clause)}"


def _found(clause: ClauseTrace) -> str:
    if clause.op == IN_SEGMENT:
        return "".join(f". {segment.key}: {segment.why}" for segment in clause.segments) or f". {clause.why}"
    what = PLACES.get(clause.op, "it")
    if clause.compared is None:
        return f", {what} is missing."
    if clause.op == "exists" and clause.matches:
        return "."
    where = f", from {clause.source_key}" if clause.source_key else ""
    return f", {what} is {json.dumps(clause.compared, ensure_ascii=False)}{where}."
