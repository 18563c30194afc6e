"""Define a flag."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions import service
from flags.definitions.console import add_fields, document_of, values_in
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Define a flag. A field that you leave out gets its default."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        add_fields(parser)
        add_reason(parser)

    def answer(self, *, flag: str, fields: list[str], **options: Any) -> Answer:
        defined = service.create(key=flag, values=values_in(fields, flag=flag), by=me())
        return Answer(document_of(defined), [f"{defined.key} is defined, version {defined.version}."])
