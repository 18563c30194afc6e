"""Archive a flag."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions import service
from flags.definitions.console import add_plan, answer_of_plan, document_of
from flags.definitions.open_schedules import open_schedules, said_of_schedules
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Archive a flag: it is off for everybody, and its flag states stay. unarchive_flag restores it."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        add_plan(parser)
        add_reason(parser)

    def answer(self, *, flag: str, plan: bool, **options: Any) -> Answer:
        if plan:
            return answer_of_plan(service.plan(key=flag, values={"archived": True}))
        archived = service.archive(key=flag, by=me())
        document = document_of(archived) | {"openSchedules": open_schedules(archived)}
        lines = [f"{archived.key} is archived and off for everybody.", said_of_schedules(archived)]
        return Answer(document, [line for line in lines if line])
