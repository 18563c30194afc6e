"""Explain the evaluation of a flag for a user of an organization."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Column

from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.evaluation.explain import Checked
from flags.evaluation.serializers import ExplainedSerializer
from flags.history.moments import find_moment
from flags.history.past_explanation import explain_then
from flags.targeting.json_attributes import WrongAttributes, attributes_in
from flags.targeting.traces import RuleTrace, lines_of
from flagsite.core.console import terminal
from flagsite.core.console.arguments import json_object
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization

COMMAND = Caller("command", Role.ADMIN)
"""The caller of commands, who sees all organizations."""
OUTCOMES = {None: "next", True: "on", False: "off"}


def _attributes(text: str) -> dict[str, Any]:
    try:
        return attributes_in(json_object(text))
    except WrongAttributes as error:
        raise ArgumentTypeError(str(error)) from None


class Command(OperatorCommand):
    help = "Explain the evaluation of a flag: every step of the decision, and the values on the organization's path."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument(
            "--organization", metavar="ORG", help="key or id; id:… or key:… if it is a number; default: none"
        )
        parser.add_argument("--user", metavar="KEY", help="the targeting key")
        parser.add_argument("--environment", metavar="NAME", help="the environment, such as staging")
        parser.add_argument("--at", metavar="MOMENT", help="a time of the past in UTC, or the number of a change")
        parser.add_argument(
            "--attributes", metavar="JSON", type=_attributes, default={}, help='what rules ask for: {"plan": "pro"}'
        )

    def answer(
        self,
        *,
        flag: str,
        organization: str | None,
        user: str | None,
        environment: str | None,
        at: str | None,
        attributes: dict[str, Any],
        **options: Any,
    ) -> Answer:
        with snapshot():
            where = find_organization(organization) if organization else None
            question: dict[str, Any] = {
                "key": flag,
                "organization_id": where.pk if where else None,
                "context": EvaluationContext(user or None, environment or None, attributes),
            }
            past = explain_then(COMMAND, **question, moment=find_moment(COMMAND, at)) if at is not None else None
            checked = past.checked if past else explain.check(**question)
            path = past.path if past else explain.explain_path(checked)
            document = dict(ExplainedSerializer(checked, context={"path": path, "past": past, "is_bound": False}).data)
        steps = terminal.table(Column("Rule", no_wrap=True), Column("Outcome", no_wrap=True), "Why")
        for step in checked.decision.steps:
            steps.add_row(*terminal.cells(step.rule.value, OUTCOMES[step.enabled], step.detail))
        verb = f"was, at {past.moment.at:%Y-%m-%d %H:%M:%S} UTC," if past else "is"
        what = f"{flag} {verb} {OUTCOMES[checked.decision.enabled]} ({document['reason']})."
        output: list[Any] = [what, *_value_lines(checked), steps]
        if checked.rule_traces:
            output.append(_rules_table(checked.rule_traces))
        if path:
            values = terminal.table(Column("Organization", no_wrap=True), Column("Value", no_wrap=True), "Why")
            for entry in path:
                value = "" if entry.stored_value is None else OUTCOMES[entry.stored_value]
                values.add_row(*terminal.cells(f"{entry.key} (id {entry.id})", value, entry.why))
            output.append(values)
        return Answer(document, output)


def _value_lines(checked: Checked) -> list[str]:
    """Say what a flag that is not boolean serves."""
    return [f"Variant {checked.decision.variant}: {checked.value_text}"] if checked.value_text else []


def _rules_table(traces: Sequence[RuleTrace]) -> Any:
    rules = terminal.table(Column("Targeting rule", no_wrap=True), Column("Matches", no_wrap=True), "Why")
    for trace in traces:
        why = "\n".join(lines_of(trace.clauses))
        rules.add_row(*terminal.cells(trace.id, "yes" if trace.matches else "no", why))
    return rules
