"""Restore an archived flag."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions import service
from flags.definitions.console import add_plan, answer_of_plan, document_of
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Restore an archived flag: it has the values again that it had before."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        add_plan(parser)
        add_reason(parser)

    def answer(self, *, flag: str, plan: bool, **options: Any) -> Answer:
        if plan:
            return answer_of_plan(service.plan(key=flag, values={"archived": False}))
        restored = service.update(key=flag, values={"archived": False}, by=me())
        return Answer(document_of(restored), [f"{restored.key} is not archived."])
