"""List scheduled changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from flags.schedules.console import documents_of, schedules_table
from flags.schedules.models import FlagSchedule
from flags.schedules.schedule_plan import context_of_plan, plan_of
from flags.schedules.selectors import matching, schedule_for
from flags.schedules.serializers import SchedulePlanSerializer
from flagsite.core.console.arguments import count, row_id, when
from flagsite.core.console.command import Answer, OperatorCommand, me
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import id_to_filter_by

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = "List scheduled changes, newest first, or say what one of them would do now."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=FlagSchedule.Status.values, type=str.lower, default="")
        parser.add_argument("--organization", metavar="ORG", help="changes on exactly this organization, key or id")
        parser.add_argument("--flag", default="", help="changes of this flag")
        parser.add_argument(
            "--series", type=row_id, metavar="ID", help="a recurring change, by the id of its first occurrence"
        )
        parser.add_argument("--from", dest="since", type=when, metavar="TIME", help="scheduled at this time or later")
        parser.add_argument("--to", dest="until", type=when, metavar="TIME", help="scheduled before this time")
        parser.add_argument("--plan", type=row_id, metavar="ID", help="only say what this change would do now")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(
        self, *, status: str, organization: str | None, flag: str, series: int | None, since: datetime | None,
        until: datetime | None, limit: int, plan: int | None, **options: Any,
    ) -> Answer:  # fmt: skip
        if plan is not None:
            return _plan(plan)
        organization_id = id_to_filter_by(None, organization) if organization else None
        matches = matching(
            FlagSchedule.objects.all(), status=status, organization_id=organization_id, flag=flag, series_id=series,
            since=since, until=until,
        )  # fmt: skip
        rows = list(matches.order_by("-pk")[: limit + 1])
        schedules, more = rows[:limit], len(rows) > limit
        output: list[Any] = [schedules_table(schedules)] if schedules else ["No scheduled changes match."]
        if more:
            output.append(f"There are more than {limit:,}. A higher --limit shows more.")
        return Answer({"results": documents_of(schedules), "more": more}, output)


def _plan(schedule_id: int) -> Answer:
    caller = Caller(me(), Role.ADMIN)
    plan = plan_of(caller, schedule_for(caller, schedule_id))
    document = dict(SchedulePlanSerializer(plan, context=context_of_plan(caller, plan)).data)
    return Answer(document, [*plan.in_words, "Nothing was written."])
