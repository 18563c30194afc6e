"""Cancel scheduled changes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.schedules import schedule_operations
from flags.schedules.console import do_to_each
from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Cancel scheduled changes that wait for their time or their retry, and all later times of recurring changes."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("ids", type=row_id, nargs="+", metavar="ID")
        add_reason(parser)

    def answer(self, *, ids: list[int], reason: str, **options: Any) -> Answer:
        return do_to_each(
            ids, lambda schedule_id: schedule_operations.cancel(schedule_id=schedule_id, by=me(), reason=reason),
            done_word="cancelled",
        )  # fmt: skip
