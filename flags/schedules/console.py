"""Scheduled changes in commands: texts, tables, and operations on several schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from flags.schedules.models import FlagSchedule
from flags.schedules.schedulable import setting_in_words
from flags.schedules.serializers import ScheduleSerializer
from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, result_of_each
from flagsite.core.errors import FlagsiteError
from orgs.tree.models import Organization

STYLES = {"pending": "cyan", "applied": "green", "failed": "red", "cancelled": "dim"}


def documents_of(schedules: Sequence[FlagSchedule]) -> list[dict[str, Any]]:
    """Return the schedules as JSON documents, in the format of the API."""
    return [dict(document) for document in ScheduleSerializer(schedules, many=True).data]


def what(schedule: FlagSchedule) -> str:
    """Return a short text on the change: the setting in words, or the definition fields with their values."""
    if schedule.organization_id is not None:
        return setting_in_words(schedule.wanted)
    return ", ".join(f"{name} {_value(value)}" for name, value in schedule.wanted.items())


def status_word(schedule: FlagSchedule) -> Text:
    """Return the status in its colour, with the time of the next retry if there is one."""
    retry = f", retry at {terminal.format_time(schedule.next_retry_at)}" if schedule.next_retry_at else ""
    return Text(schedule.status + retry, style=STYLES[schedule.status])


def schedules_table(schedules: Sequence[FlagSchedule]) -> Table:
    """Return a table with one row for each schedule."""
    organizations = Organization.objects.in_bulk({schedule.organization_id for schedule in schedules} - {None})
    table = terminal.table(
        Column("ID", justify="right", no_wrap=True), Column("When (UTC)", no_wrap=True), Column("Flag", no_wrap=True),
        Column("What", overflow="fold"), Column("Where", overflow="fold"), Column("Status", overflow="fold"),
        Column("By", overflow="fold"), Column("Error", overflow="fold"),
    )  # fmt: skip
    for schedule in schedules:
        recurs = f" ({schedule.cron} {schedule.time_zone})" if schedule.cron else ""
        table.add_row(
            *terminal.cells(
                str(schedule.pk), terminal.format_time(schedule.scheduled_at), schedule.flag_key,
                what(schedule) + recurs, where(schedule, organizations), status_word(schedule),
                schedule.created_by, schedule.last_error,
            )
        )  # fmt: skip
    return table


def where(schedule: FlagSchedule, organizations: Mapping[int, Organization]) -> str:
    """Return the organization's key, or a text for a change of the definition."""
    if schedule.organization_id is None:
        return "the definition"
    organization = organizations.get(schedule.organization_id)
    return organization.key if organization else f"id {schedule.organization_id}, deleted"


def do_to_each(ids: Sequence[int], do: Callable[[int], FlagSchedule], *, done_word: str) -> Answer:
    """Carry out an operation on every schedule, and return the results.

    If the operation refuses a schedule, it goes on with the next one, and the exit status of the command is 1.
    """
    results: list[dict[str, Any]] = []
    output: list[RenderableType] = []
    for schedule_id in dict.fromkeys(ids):
        try:
            schedule = do(schedule_id)
        except FlagsiteError as error:
            results.append({"scheduleId": schedule_id, "status": None, "refused": error.detail})
            output.append(terminal.line(f"{schedule_id}: {error.detail}", style="red"))
        else:
            results.append({"scheduleId": schedule_id, "status": schedule.status, "refused": None})
            output.append(f"{schedule_id}: {done_word}")
    refused = sum(result["refused"] is not None for result in results)
    return result_of_each(results, output, refused=refused)


def _value(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
