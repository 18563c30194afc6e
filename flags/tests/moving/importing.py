"""Imported flags, evaluated by the engine for users of no organization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.definitions.fields import FIELDS
from flags.errors import TargetingKeyMissing
from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.moving.reading import Reading, Source, read_foreign_file
from flags.segments.loader import evaluated
from flags.targeting.segments import Segments

NEEDS_A_KEY = "needs a targeting key"


def read(source: str, content: Any, environment: str = "") -> tuple[dict[str, Definition], Reading]:
    """The definitions of a file as evaluation reads them, without a database."""
    reading = read_foreign_file(Source(source), content, environment)
    return definitions_of(reading), reading


def definitions_of(reading: Reading) -> dict[str, Definition]:
    """The definitions of what was read as evaluation reads them, with its segments."""
    stored = {each.key: evaluated({"key": each.key, "id": 1, "version": 1, **each.values}) for each in reading.segments}
    segments = Segments(stored)
    definitions = {}
    for number, entry in enumerate(reading.entries, 1):
        values = {name: spec.default for name, spec in FIELDS.items()} | dict(entry.values)
        values["variants"] = [{**each, "number": place} for place, each in enumerate(values["variants"], 1)]
        fields = {
            spec.evaluated_as: spec.to_evaluation(values[name]) for name, spec in FIELDS.items() if spec.evaluated_as
        }
        fields["targeting_rules"] = segments.resolved(fields["targeting_rules"])
        fields |= FIELDS["prerequisites"].also_evaluated(values["prerequisites"])
        definitions[entry.key] = Definition(id=number, key=entry.key, **fields)
    return definitions


def answer(definitions: Mapping[str, Definition], key: str, user: str | None, **attributes: Any) -> Any:
    """The variant that a user gets."""
    try:
        decision = evaluate(
            definitions[key], NO_ORGANIZATION_CONTEXT, EvaluationContext(user, None, attributes), definitions
        )
    except TargetingKeyMissing:
        return NEEDS_A_KEY
    return decision.variant


def codes(reading: Reading) -> set[tuple[str, str, bool]]:
    """Flag, code and whether it is imported, of each remark."""
    return {(each.flag, each.issue.value, each.is_imported) for each in reading.remarks}
