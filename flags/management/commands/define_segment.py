"""Create a segment."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.segments import service
from flags.segments.console import add_fields, document_of, values_in
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Create a segment. A field that you leave out gets its default."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("segment", metavar="SEGMENT")
        add_fields(parser)
        add_reason(parser)

    def answer(self, *, segment: str, fields: list[str], **options: Any) -> Answer:
        created = service.create(key=segment, values=values_in(fields, key=segment), by=me())
        return Answer(document_of(created), [f"{created.key} is created, version {created.version}."])
