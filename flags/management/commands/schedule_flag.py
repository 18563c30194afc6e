"""Schedule a flag to be set on an organization and everything below it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from flags.schedules import plan
from flags.schedules.backoff import MAX_RETRIES_LIMIT
from flags.schedules.console import documents_of
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.schedules.schedulable import HERE, setting_in_words
from flags.states.choice_arguments import add_choice, chosen_field
from flags.states.setting_rules import Below
from flagsite.core import actor
from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason, count, when
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization

RESET = "reset"


class Command(OperatorCommand):
    help = (
        "Schedule a flag to be set on an organization and everything below it: once with --at, again and again with "
        "--cron. The flag must exist."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("flag", metavar="FLAG")
        add_choice(parser, RESET)
        parser.add_argument(
            "--below",
            choices=[each.value for each in Below],
            help="what happens to the settings below: they stay, end (the default), or do not count below a lock",
        )
        parser.add_argument("--here", action="store_true", help="the value counts for this organization only")
        times = parser.add_mutually_exclusive_group(required=True)
        times.add_argument("--at", type=when, metavar="TIME", help="30m, 2h, 7d from now, or an ISO time")
        times.add_argument("--cron", metavar="CRON", help="minute, hour, day of month, month, day of week")
        parser.add_argument(
            "--time-zone", metavar="ZONE", help="time zone of --cron, such as Europe/Oslo; default: UTC"
        )
        parser.add_argument(
            "--max-retries", type=count(0, MAX_RETRIES_LIMIT), metavar="N", help="default: FLAG_SCHEDULE_MAX_RETRIES"
        )
        add_reason(parser)

    def answer(
        self, *, organization: str, flag: str, value: str | None, variant: str | None, custom: str | None,
        at: datetime | None, cron: str | None, time_zone: str | None, max_retries: int | None,
        reason: str, below: str | None, here: bool, **options: Any,
    ) -> Answer:  # fmt: skip
        if time_zone is not None and cron is None:
            raise WrongUsage("--time-zone is the zone of --cron. Write the zone into --at: 2030-01-31T09:00:00+01:00.")
        where = find_organization(organization)
        caller = Caller(me(), Role.ADMIN)
        request = ScheduleRequest(flag, where.pk, reason, max_retries, actor.current().correlation_id)
        wanted = _wanted(chosen_field(value, variant, custom, [RESET]), below, here=here)
        if at is not None:
            schedule: FlagSchedule = plan.plan_once(caller, request, wanted=wanted, at=at)
        else:
            schedule = plan.plan_recurring(
                caller, request, wanted=wanted, cron=cron or "", time_zone=time_zone or "UTC"
            )
        first = ", then again and again" if schedule.cron else ""
        words = (
            f"{flag} will be {setting_in_words(wanted)} for {where.key} (id {where.pk}){_and_below(wanted)} at "
            f"{terminal.format_time(schedule.scheduled_at)} UTC{first}: schedule {schedule.pk}."
        )
        return Answer(documents_of([schedule])[0], [words])


def _wanted(chosen: dict[str, Any], below: str | None, *, here: bool) -> dict[str, Any]:
    if not chosen:
        if here or below == Below.LOCK:
            raise WrongUsage("A reset has no value, so it cannot be a lock or count here only.")
        return {"reset": True, "subtree": below == Below.OVERWRITE}
    if here:
        return {**chosen, "below": below or Below.KEEP.value, "reach": HERE}
    return {**chosen, **({"below": below} if below else {})}


def _and_below(wanted: dict[str, Any]) -> str:
    return " and everything below" if "reset" not in wanted and "reach" not in wanted else ""
