"""Change fields of a flag's definition."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions import service
from flags.definitions.console import add_fields, add_plan, answer_of_plan, document_of, values_in
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me


class Command(OperatorCommand):
    help = "Change fields of a flag's definition. A field that you leave out does not change."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        add_fields(parser)
        add_plan(parser)
        add_reason(parser)

    def answer(self, *, flag: str, fields: list[str], plan: bool, **options: Any) -> Answer:
        if not fields:
            raise WrongUsage("Nothing to change: write at least one FIELD=VALUE, such as rolloutPercentage=25.")
        if plan:
            return answer_of_plan(service.plan(key=flag, values=values_in(fields)))
        former = service.flag_called(flag).version
        changed = service.update(key=flag, values=values_in(fields), by=me())
        words = "has these values already" if changed.version == former else "is changed"
        return Answer(document_of(changed), [f"{changed.key} {words}, version {changed.version}."])
