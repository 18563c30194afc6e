"""List scheduled changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from flags.schedules.console import documents_of, schedules_table
from flags.schedules.models import FlagSchedule
from flags.schedules.selectors import matching
from flagsite.core.console.arguments import count, row_id, when
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access.organizations import find_organization_by_key_or_id

MOST = 10_000


class Command(OperatorCommand):
    help = "List scheduled changes, newest first."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=FlagSchedule.Status.values, type=str.lower, default="")
        parser.add_argument("--organization", metavar="ORG", help="of exactly this one, key or id")
        parser.add_argument("--flag", default="", help="those of this flag")
        parser.add_argument("--series", type=row_id, metavar="ID", help="of a recurring one: the id of its first")
        parser.add_argument("--from", dest="since", type=when, metavar="TIME", help="scheduled then or later")
        parser.add_argument("--to", dest="until", type=when, metavar="TIME", help="scheduled before")
        parser.add_argument("--limit", type=count(1, MOST), default=50, metavar="N", help="default: 50")

    def answer(
        self, *, status: str, organization: str | None, flag: str, series: int | None, since: datetime | None,
        until: datetime | None, limit: int, **options: Any,
    ) -> Answer:  # fmt: skip
        place = find_organization_by_key_or_id(organization).pk if organization else None
        wanted = matching(
            FlagSchedule.objects.all(), status=status, organization_id=place, flag=flag, series_id=series,
            since=since, until=until,
        )  # fmt: skip
        found = list(wanted.order_by("-pk")[: limit + 1])
        schedules, more = found[:limit], len(found) > limit
        shown: list[Any] = [schedules_table(schedules)] if schedules else ["There are no such scheduled changes."]
        if more:
            shown.append(f"There are more than {limit:,}; --limit shows more.")
        return Answer({"results": documents_of(schedules), "more": more}, shown)
