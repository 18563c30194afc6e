"""The form of a trial of what is not saved yet, and what its result says of rules."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from flags.definitions.models import Flag
from flags.evaluation.admin_page import EvaluationForm
from flags.targeting.trace_words import decided_in_words
from flags.targeting.traces import RuleTrace
from orgs.access.caller import Caller

FORM_ID = "try-out-form"


class TryOutForm(EvaluationForm):
    """The context of a trial. Its inputs stand among those of the definition, and belong to a form of their own."""

    at = None  # type: ignore[assignment] # what is not saved yet has no past

    def __init__(self, caller: Caller, flag: Flag, data: Any) -> None:
        super().__init__(caller, flag, data, prefix="try")
        for field in self.fields.values():
            field.widget.attrs["form"] = FORM_ID


class SegmentTryOutForm(TryOutForm):
    """The context of a trial of a segment, in which environments mean nothing."""

    environment = None  # type: ignore[assignment] # as above


def errors_of(form: Any, *, left_out: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return what is wrong with a form, but for the fields `left_out`: the labels of fields, each with a sentence."""
    return [
        (str(form.fields[name].label or form[name].label) if name in form.fields else "", " ".join(map(str, found)))
        for name, found in form.errors.items()
        if name not in left_out
    ]


def traced(traces: Sequence[RuleTrace]) -> dict[str, Any]:
    """Return what the result of a trial says of rules: each with the clauses that decided, in words.

    `outcomes` has whether each clause matches, in JSON, for the marks on the cards.
    """
    return {
        "decided": [(rule, decided_in_words(rule)) for rule in traces],
        "outcomes": json.dumps([[clause.matches for clause in rule.clauses] for rule in traces]),
    }
