"""Schedule a flag to be set on an organization and everything below it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from flags.models import FlagSchedule
from flags.schedule_shown import documents_of
from flags.schedules import planning
from flags.schedules.backoff import MOST_RETRIES
from flags.schedules.planning import Subject
from orgs import origin, terminal
from orgs.access import Caller, organization_called
from orgs.command_arguments import add_reason, count, when
from orgs.models import Role
from orgs.operator_command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = (
        "Have a flag set on an organization and everything below it at a time to come: --at once, --cron again and "
        "again. The flag must exist."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id")
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("value", choices=["on", "off"])
        times = parser.add_mutually_exclusive_group(required=True)
        times.add_argument("--at", type=when, metavar="TIME", help="30m, 2h, 7d from now, or an ISO time")
        times.add_argument("--cron", metavar="CRON", help="minute, hour, day of month, month, day of week")
        parser.add_argument("--time-zone", default="UTC", metavar="ZONE", help="of --cron, such as Europe/Oslo")
        parser.add_argument(
            "--max-retries", type=count(0, MOST_RETRIES), metavar="N", help="default: FLAG_SCHEDULE_MAX_RETRIES"
        )
        add_reason(parser)

    def answer(
        self, *, organization: str, flag: str, value: str, at: datetime | None, cron: str | None, time_zone: str,
        max_retries: int | None, reason: str, **options: Any,
    ) -> Answer:  # fmt: skip
        where = organization_called(organization)
        caller = Caller(me(), Role.ADMIN)
        subject = Subject(flag, where.pk, reason, max_retries, origin.correlation_id())
        wanted = {"enabled": value == "on"}
        if at is not None:
            schedule: FlagSchedule = planning.plan_once(caller, subject, wanted=wanted, at=at)
        else:
            schedule = planning.plan_recurring(caller, subject, wanted=wanted, cron=cron or "", time_zone=time_zone)
        first = ", then again and again" if schedule.cron else ""
        words = (
            f"{flag} will be {value} for {where.key} (id {where.pk}) and everything below at "
            f"{terminal.at(schedule.scheduled_at)} UTC{first}: schedule {schedule.pk}."
        )
        return Answer(documents_of([schedule])[0], [words])
