"""Find flags, and read definitions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.table import Column

from flags.definitions import service
from flags.definitions.console import document_of
from flags.definitions.models import Flag
from flags.definitions.selectors import matching
from flagsite.core.console import terminal
from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand

MAX_LIMIT = 10_000
FILTERS = ("tag", "owner", "kind", "search")


class Command(OperatorCommand):
    help = "Find flags by their definitions, oldest first, or read the definitions of the named flags."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flags", nargs="*", metavar="FLAG", help="only these flags, archived ones too")
        parser.add_argument("--search", metavar="TEXT", help="a part of the name or description")
        parser.add_argument("--tag", help="flags with this tag")
        parser.add_argument("--owner", help="flags with exactly this owner")
        parser.add_argument("--kind", choices=Flag.Kind.values)
        parser.add_argument("--stale", action="store_true", help="stale flags only")
        parser.add_argument("--archived", action="store_true", help="archived flags only")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, flags: list[str], limit: int, **options: Any) -> Answer:
        if flags:
            found, more = [service.flag_called(key) for key in flags], False
        else:
            filters = {name: options[name] for name in FILTERS if options[name]}
            filters |= {"archived": "true" if options["archived"] else "false"}
            filters |= {"stale": "true"} if options["stale"] else {}
            matches = matching(Flag.objects.all(), filters).prefetch_related("prerequisites").order_by("id")
            rows = list(matches[: limit + 1])
            found, more = rows[:limit], len(rows) > limit
        table = terminal.table("Flag", Column("Kind", no_wrap=True), "Owner", "State", Column("Rollout", no_wrap=True))
        for flag in found:
            state = "archived" if flag.archived else "killed" if flag.killed else ""
            rollout = "" if flag.rollout_percentage is None else f"{flag.rollout_percentage:g} %"
            table.add_row(*terminal.cells(flag.key, flag.kind, flag.owner, state, rollout))
        output: list[Any] = [table] if found else ["No flag matches."]
        output += [f"There are more than {limit:,}. A higher --limit shows more."] if more else []
        return Answer({"results": [document_of(flag) for flag in found], "more": more}, output)
