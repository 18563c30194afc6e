"""Delete a segment."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.segments import service
from flags.segments.console import document_of
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Delete a segment that no flag and no other segment uses."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("segment", metavar="SEGMENT")
        add_reason(parser)

    def answer(self, *, segment: str, **options: Any) -> Answer:
        deleted = service.delete(key=segment, by=me())
        return Answer(document_of(deleted), [f"{deleted.key} is deleted."])
