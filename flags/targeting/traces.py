"""What targeting rules compared, for people who ask why a rule matches or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from flags.targeting.attributes import Attributes
from flags.targeting.places import Place
from flags.targeting.rules import IN_SEGMENT, IN_SUBTREE, LEVEL, Clause, EvaluatedSegment, TargetingRule

LONGEST_SHOWN = 200


class TracedPlace(Place, Protocol):
    """A place that also tells from where its attributes come."""

    @property
    def attribute_sources(self) -> Mapping[str, str]:
        """The key of the organization from which each attribute comes."""


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
    segments: list[SegmentTrace] = field(default_factory=list)
    """The segments for which the clause asks."""
    source_key: str | None = None
    """The organization from which an attribute of the organization comes. None for everything else."""


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One targeting rule with all its clauses, and whether it matches and its rollout has a unit."""

    id: str
    matches: bool
    clauses: list[ClauseTrace]


@dataclass(frozen=True, slots=True)
class SegmentTrace:
    """A segment for which a clause asks, whether somebody is in it, and why.

    `rules` has its rules up to the first that matches; none if a list of targeting keys has decided.
    """

    key: str
    matches: bool
    why: str
    rules: list[RuleTrace]


def traces_of(
    rules: Sequence[TargetingRule], attributes: Attributes, targeting_key: str, place: TracedPlace
) -> list[RuleTrace]:
    """Return the traces of rules, in their order, up to the first that decides. The arguments are those of a clause."""
    traces: list[RuleTrace] = []
    for rule in rules:
        clauses = [_trace(clause, attributes, targeting_key, place) for clause in rule.clauses]
        has_unit = rule.rollout is None or bool(rule.rollout.unit(attributes, targeting_key, place))
        matches = has_unit and all(clause.matches for clause in clauses)
        traces.append(RuleTrace(rule.id, matches, clauses))
        if matches:
            break
    return traces


def lines_of(clauses: Sequence[ClauseTrace], indent: str = "") -> list[str]:
    """Return why each clause matches or not, one in a line; those of segments below, and further in."""
    lines = []
    for clause in clauses:
        lines.append(f"{indent}{clause.why}")
        for segment in clause.segments:
            lines.append(f"{indent}  {segment.key}: {segment.why}")
            for rule in segment.rules:
                lines += [f"{indent}    {rule.id}:", *lines_of(rule.clauses, f"{indent}      ")]
    return lines


def _trace(clause: Clause, attributes: Attributes, targeting_key: str, place: TracedPlace) -> ClauseTrace:
    compared = clause.compared(attributes, targeting_key, place)
    matches = clause.test(attributes, targeting_key, place)
    source = place.attribute_sources.get(clause.own_name)
    why = clause.why_never or _words(clause, compared, source, matches=matches)
    said = clause.attribute, clause.op, list(clause.values), clause.negate, _shown(compared), matches, why
    segments = [trace_of_segment(each, attributes, targeting_key, place) for each in clause.segments]
    return ClauseTrace(*said, segments, source)


def trace_of_segment(
    segment: EvaluatedSegment, attributes: Attributes, targeting_key: str, place: TracedPlace
) -> SegmentTrace:
    """Return whether somebody is in a segment, and why. The other arguments are those of a clause."""
    for listed, name, is_in in ((segment.included, "included", True), (segment.excluded, "excluded", False)):
        if targeting_key in listed:
            return SegmentTrace(segment.key, is_in, f"The targeting key is one of the {name} keys.", [])
    rules: list[RuleTrace] = []
    for rule in segment.rules:
        clauses = [_trace(clause, attributes, targeting_key, place) for clause in rule.clauses]
        rules.append(RuleTrace(rule.id, all(clause.matches for clause in clauses), clauses))
        if rules[-1].matches:
            return SegmentTrace(segment.key, True, f"The rule {rule.id!r} of the segment matches.", rules)  # noqa: FBT003
    return SegmentTrace(segment.key, False, "No rule of the segment matches.", rules)  # noqa: FBT003


def _words(clause: Clause, compared: Any, source: str | None, *, matches: bool) -> str:
    what = {IN_SUBTREE: "The path of the organization", LEVEL: "The level of the organization"}.get(
        clause.op, f"The attribute {clause.attribute!r}"
    )
    outcome = "matches" if matches else "does not match"
    if source is not None:
        what += f" (from {source})"
    if clause.op == IN_SEGMENT:
        asked = f"{'not in' if clause.negate else 'in'} {_text(list(clause.values))}"
        found = f"the segment {_text(compared[0])}" if compared else "none of the segments"
        return f"The user is in {found}: {asked} {outcome}."
    if clause.op == "exists":
        return f"{what} is {'there' if compared is not None else 'missing'}: the clause {outcome}."
    if compared is None:
        return f"{what} is missing, so the clause does not match."
    comparison = f"not {clause.op}" if clause.negate else clause.op
    return f"{what} is {_text(compared)}: {comparison} {_text(list(clause.values))} {outcome}."


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
