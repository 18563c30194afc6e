"""Segments in the rules of flags: the clauses with `inSegment` get the segments that they name.

A segment may name segments too. What is not there, or is part of a circle, counts as a segment that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flags.targeting.rules import IN_SEGMENT, Clause, EvaluatedSegment, SegmentRule, TargetingRule

MAX_LEVELS = 5
"""The maximum number of segments in a chain in which each names the next. It limits the cost of an evaluation."""


class Segments:
    """The segments of one moment, by key. Each is resolved once, for all rules that name it."""

    def __init__(self, stored: Mapping[str, EvaluatedSegment]) -> None:
        """`stored` has segments whose own clauses are not resolved."""
        self._stored = stored
        self._resolved: dict[str, EvaluatedSegment | None] = {}

    def resolved(self, rules: Iterable[TargetingRule]) -> tuple[TargetingRule, ...]:
        """Return targeting rules whose clauses have their segments."""
        return tuple(
            replace(rule, clauses=self._clauses(rule.clauses)) if names_segments(rule.clauses) else rule
            for rule in rules
        )

    def find(self, key: str) -> EvaluatedSegment | None:
        """Return a segment whose clauses have their segments; None if there is none."""
        if key not in self._resolved:
            self._resolved[key] = None  # a circle ends here
            stored = self._stored.get(key)
            if stored is not None:
                self._resolved[key] = self.resolved_segment(stored)
        return self._resolved[key]

    def resolved_segment(self, segment: EvaluatedSegment) -> EvaluatedSegment:
        """Return a segment, which need not be one of the stored ones, whose clauses have their segments."""
        return replace(
            segment, rules=tuple(SegmentRule(rule.id, self._clauses(rule.clauses)) for rule in segment.rules)
        )

    def _clauses(self, clauses: Iterable[Clause]) -> tuple[Clause, ...]:
        return tuple(
            replace(clause, segments=self._named_by(clause)) if clause.op == IN_SEGMENT else clause
            for clause in clauses
        )

    def _named_by(self, clause: Clause) -> tuple[EvaluatedSegment, ...]:
        found = [self.find(key) for key in clause.values if isinstance(key, str)]
        return tuple(segment for segment in found if segment is not None)


def names_segments(clauses: Iterable[Clause]) -> bool:
    """Return whether one of the clauses asks for a segment."""
    return any(clause.op == IN_SEGMENT for clause in clauses)


def keys_named_in(rules: Any) -> set[str]:
    """Return the keys of the segments that checked rules name, in the JSON of a definition or of a segment."""
    return {
        key
        for rule in rules
        for clause in rule["clauses"]
        if clause["op"] == IN_SEGMENT
        for key in clause.get("values", [])
    }
