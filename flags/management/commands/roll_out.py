"""Schedule a rollout of a flag in steps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from flags.schedules.backoff import MAX_RETRIES_LIMIT
from flags.schedules.console import documents_of
from flags.schedules.plan import ScheduleRequest
from flags.schedules.steps import Step, plan_steps
from flagsite.core import actor
from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason, count, decimal, duration, when
from flagsite.core.console.command import Answer, OperatorCommand, me
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = (
        "Schedule a rollout of a flag in steps, which change its definition. When a step fails or is cancelled, the "
        "later ones are cancelled too."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("steps", metavar="PERCENT", nargs="+", type=decimal(0, 100), help="2 to 20 percentages")
        parser.add_argument(
            "--at",
            type=when,
            required=True,
            metavar="TIME",
            help="of the first step: 30m, 2h, 7d from now, or an ISO time",
        )
        parser.add_argument(
            "--wait", type=duration, required=True, metavar="DURATION", help="between two steps, such as 1d"
        )
        parser.add_argument(
            "--max-retries", type=count(0, MAX_RETRIES_LIMIT), metavar="N", help="default: FLAG_SCHEDULE_MAX_RETRIES"
        )
        add_reason(parser)

    def answer(
        self, *, flag: str, steps: list[float], at: datetime, wait: timedelta, max_retries: int | None, reason: str,
        **options: Any,
    ) -> Answer:  # fmt: skip
        request = ScheduleRequest(flag, None, reason, max_retries, actor.current().correlation_id)
        wanted = [{"enabled": True, "rolloutPercentage": share} for share in steps]
        planned = [Step(each, wait if number else timedelta(0)) for number, each in enumerate(wanted)]
        schedules = plan_steps(Caller(me(), Role.ADMIN), request, planned, at=at)
        words = [
            f"{flag} will be on for {share:g} % at {terminal.format_time(schedule.scheduled_at)} UTC: "
            f"schedule {schedule.pk}."
            for share, schedule in zip(steps, schedules, strict=True)
        ]
        return Answer({"schedules": documents_of(schedules)}, list(words))
