"""Undo a change of a flag, of a definition, or of the tree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType

from flags.undoing.serializers import UndoneSerializer, UndoPlanSerializer
from flags.undoing.undo import find
from flags.undoing.undo_words import effect_in_words, restored_in_words, result_in_words
from flags.undoing.undone import UndoPlan
from flagsite.core import actor
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = (
        "Undo a set, a lock or a reset of a flag, a change of a definition, or a move: what the change has replaced is "
        "as it was. What was changed since stays as it is."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("number", type=int, metavar="NUMBER", help="the change number, as the audit log shows it")
        parser.add_argument("--plan", action="store_true", help="only say what the undo would do")
        add_reason(parser)

    def answer(self, *, number: int, plan: bool, reason: str, **options: Any) -> Answer:
        change = find(everything(), number)
        if plan:
            planned = change.plan()
            context = {"figures": planned.figures(everything())}
            return Answer(dict(UndoPlanSerializer(planned, context=context).data), _plan_in_words(planned))
        undone = change.undo(correlation_id=actor.current().correlation_id, reason=reason)
        words = result_in_words(undone)
        if undone.job is not None:
            words.append(f"Follow it: bin/manage job {undone.job.pk}")
        return Answer(dict(UndoneSerializer(undone).data), [*words])


def _plan_in_words(plan: UndoPlan) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for each in plan.restores:
        before, after = restored_in_words(plan, each)
        lines.append(f"{each.field or f'organization {each.organization_id}'}: {before} → {after}")
    if plan.restored > len(plan.restores):
        lines.append(f"These are the first {len(plan.restores)} of {plan.restored:,}.")
    lines += [f"{name} was changed since, and stays." for name in plan.left_alone.fields]
    lines += [f"organization {each} was changed since, and stays." for each in plan.left_alone.organization_ids]
    return [*lines, *effect_in_words(plan), "Nothing was written."]
