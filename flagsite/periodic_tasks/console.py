"""Periodic tasks in commands: their options and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from flags.schedules.recurrence import FIELDS
from flagsite.core.console.arguments import count, json_object, when
from flagsite.core.console.command import Refused, WrongUsage
from flagsite.periodic_tasks.serializers import MAX_INTEGER, PeriodicTaskSerializer
from jobs.errors import InvalidPeriodicTask

PERIODS = [period for period, _ in IntervalSchedule.PERIOD_CHOICES]
COLUMNS = ("task", "kwargs", "description", "start_time", "expire_seconds")


OPTIONS = {
    "crontab.timeZone": "--time-zone",
    "crontab.dayOfWeek": "--cron, day of week",
    "crontab.dayOfMonth": "--cron, day of month",
    "crontab.monthOfYear": "--cron, month",
    "crontab.hour": "--cron, hour",
    "crontab.minute": "--cron, minute",
    "crontab": "--cron",
    "interval.every": "--every",
    "interval": "--every",
    "expireSeconds": "--expire-seconds",
    "startTime": "--start-time",
    "keywordArguments": "--keyword-arguments",
    "task": "--task",
    "description": "--description",
}
"""The options for the fields that the messages of the rules name."""


@contextmanager
def naming_options() -> Iterator[None]:
    """Let the message of InvalidPeriodicTask name the options of the command, and not the fields of the API."""
    try:
        yield
    except InvalidPeriodicTask as error:
        message = f" {error}"
        for field, option in OPTIONS.items():
            message = message.replace(f" {field}: ", f" {option}: ")
        raise Refused(message[1:]) from error


def add_options(parser: CommandParser, *, needs_schedule: bool = False) -> None:
    """Add the options for the values of a periodic task. A new task needs an interval or a crontab."""
    parser.add_argument("--task", help="a task that the workers know, such as jobs.clean_up")
    parser.add_argument(
        "--keyword-arguments", type=json_object, dest="kwargs", metavar="JSON", help="what the task takes"
    )
    parser.add_argument("--description", help="for people")
    schedule = parser.add_mutually_exclusive_group(required=needs_schedule)
    schedule.add_argument("--every", nargs=2, metavar=("N", "PERIOD"), help=f"an interval; {', '.join(PERIODS)}")
    schedule.add_argument("--cron", metavar="'30 2 * * *'", help="minute, hour, day of month, month, day of week")
    parser.add_argument("--time-zone", metavar="ZONE", help="the zone of --cron, such as Europe/Oslo; default: UTC")
    parser.add_argument("--start-time", type=when, metavar="TIME", help="beat sends the task from then on")
    parser.add_argument(
        "--expire-seconds", type=count(1, 10**9 - 1), metavar="N", help="leave out a run that has waited for longer"
    )
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--enable", dest="enabled", action="store_true", default=None, help="let beat send the task")
    state.add_argument("--disable", dest="enabled", action="store_false", default=None, help="do not send the task")


def values_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the options give. Raises WrongUsage."""
    values = {name: options[name] for name in (*COLUMNS, "enabled") if options[name] is not None}
    if options["every"] is not None:
        values["interval"] = _interval(*options["every"])
    if options["cron"] is not None:
        values["crontab"] = _crontab(options["cron"]) | {"timezone": options["time_zone"] or "UTC"}
    elif options["time_zone"] is not None:
        raise WrongUsage("--time-zone is the zone of --cron. Write both.")
    return values


def document_of(task: PeriodicTask) -> dict[str, Any]:
    """Return the periodic task as the API's JSON."""
    return dict(PeriodicTaskSerializer(task).data)


def schedule_of(task: PeriodicTask) -> str:
    """Return the interval or the crontab of the task, in one line."""
    if task.crontab is None:
        return str(task.interval or "")
    return " ".join([*(getattr(task.crontab, name) for name in FIELDS), str(task.crontab.timezone)])


def _interval(number: str, period: str) -> dict[str, Any]:
    is_number = number.isascii() and number.isdigit() and 0 < int(number) <= MAX_INTEGER
    if not is_number or period not in PERIODS:
        raise WrongUsage(
            f"--every {number} {period} is not an interval such as 5 minutes. Periods: {', '.join(PERIODS)}."
        )
    return {"every": int(number), "period": period}


def _crontab(text: str) -> dict[str, Any]:
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise WrongUsage("A cron expression has five fields: minute, hour, day of month, month, day of week.")
    return dict(zip(FIELDS, fields, strict=True))
