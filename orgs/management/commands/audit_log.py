"""Read the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.arguments import Since, count, since
from flagsite.core.console.command import Answer, OperatorCommand, me
from flagsite.core.db.clock import now
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import id_to_filter_by
from orgs.audit import selectors, words
from orgs.audit.serializers import CHANNELS, AuditEntrySerializer

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = "Read the audit log, newest first: who did what, when, where and why, with the values before and after."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--flag", default="", help="entries about this flag")
        parser.add_argument("--organization", metavar="ORG", help="entries about exactly this organization, key or id")
        parser.add_argument("--actor", default="", help="who did it, such as user:alice, or alice for the person")
        parser.add_argument("--action", default="", help="what was done, such as flag.set")
        parser.add_argument("--subject", default="", help="what it was done to, such as job:17")
        parser.add_argument("--channel", choices=CHANNELS, default="", help="the channel")
        parser.add_argument("--correlation-id", default="", metavar="ID", help="the id of a request or of a command")
        parser.add_argument("--from", dest="since", type=since, metavar="TIME", help="at this time or later")
        parser.add_argument("--to", dest="until", type=since, metavar="TIME", help="before this time")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(
        self, *, organization: str | None, since: Since | None, until: Since | None, limit: int, **options: Any
    ) -> Answer:
        filters = {name: options[name] for name in ("flag", "actor", "action", "subject", "channel", "correlation_id")}
        caller = Caller(me(), Role.ADMIN)
        entries = selectors.matching(
            selectors.visible_entries(caller), **filters, since=_moment(since), until=_moment(until),
            organization_id=id_to_filter_by(None, organization) if organization else None,
        )  # fmt: skip
        rows = list(entries[: limit + 1])
        shown, more = words.shown(rows[:limit], caller), len(rows) > limit
        document = {"results": AuditEntrySerializer(shown, many=True).data, "more": more}
        if not shown:
            return Answer(document, ["No audit entries match."])
        table = terminal.table(
            Column("At (UTC)", no_wrap=True), "Actor", Column("Action", no_wrap=True), "Subject", "Where", "Changes",
            "Reason", Column("Channel", no_wrap=True),
        )  # fmt: skip
        for one in shown:
            entry = one.entry
            table.add_row(
                *terminal.cells(
                    terminal.format_time(entry.at), entry.actor, entry.action, entry.subject, one.where,
                    "; ".join(one.changes), entry.reason, entry.via,
                )
            )  # fmt: skip
        note = [f"There are more than {limit:,}. A higher --limit shows more."] if more else []
        return Answer(document, [table, *note])


def _moment(time: Since | None) -> Any:
    return now() - time if isinstance(time, timedelta) else time
