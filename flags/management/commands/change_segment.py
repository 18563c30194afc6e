"""Change fields of a segment."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions.console import add_plan
from flags.segments import service
from flags.segments.console import add_fields, answer_of_plan, document_of, values_in
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me


class Command(OperatorCommand):
    help = "Change fields of a segment, and so each flag that uses it. A field that you leave out does not change."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("segment", metavar="SEGMENT")
        add_fields(parser)
        add_plan(parser)
        add_reason(parser)

    def answer(self, *, segment: str, fields: list[str], plan: bool, **options: Any) -> Answer:
        if not fields:
            raise WrongUsage("Nothing to change: write at least one FIELD=VALUE, such as owner=checkout-team.")
        values = values_in(fields)
        if plan:
            return answer_of_plan(service.plan(key=segment, values=values))
        former = service.segment_called(segment).version
        changed = service.update(key=segment, values=values, by=me())
        words = "has these values already" if changed.version == former else "is changed"
        return Answer(document_of(changed), [f"{changed.key} {words}, version {changed.version}."])
